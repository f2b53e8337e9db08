"""What Asterisk tells, in our words."""
