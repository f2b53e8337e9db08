"""Numbers: how people write them, whose they are, which may be dialled."""
