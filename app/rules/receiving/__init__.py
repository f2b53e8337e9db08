"""A fax on its way in: where the call belongs, what is entered, what is kept."""
