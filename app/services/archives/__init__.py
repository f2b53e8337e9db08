"""Places of archives, opened as the installation allows."""
