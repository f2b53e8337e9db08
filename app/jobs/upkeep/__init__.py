"""The clock, and what it starts: archives, retention, erasing, sealing, watching."""
