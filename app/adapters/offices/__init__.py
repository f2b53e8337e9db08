"""LibreOffice, each in a room of its own."""
