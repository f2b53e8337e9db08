"""Who did what to which thing: entered, chained, read, shipped."""
