"""The shared inbox: unread, taken, handed over, forwarded, reminded of."""
