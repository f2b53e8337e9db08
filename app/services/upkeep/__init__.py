"""Does everything work? And a copy of it all."""
