"""Many faxes, or all of a company, as files that are made while they travel."""
