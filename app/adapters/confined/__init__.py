"""Children and rooms in which strangers' bytes are opened."""
