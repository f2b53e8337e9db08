"""What all rooms stand on: who may see what, days of a zone, whose turn it is, how much there may be."""
