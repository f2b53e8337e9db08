"""Where files are kept, sealed, copied; how much room is left."""
