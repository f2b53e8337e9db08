"""What is seen of the trunks: whether they are there, and what was said to them and by them."""
