"""What an administrator sets up."""
