"""Sample documents, drawn by code."""
