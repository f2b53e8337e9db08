"""Documents as they come, are kept, sealed and shown."""
