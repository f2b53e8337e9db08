"""What an administrator sets: saved first, shown as a difference, applied together."""
