"""What is seen of the trunks: their state, and the SIP messages sent and received over them."""
