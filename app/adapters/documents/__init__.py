"""What a file is, whether it may be sent, and its way to a PDF and to pages."""
