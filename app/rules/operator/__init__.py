"""The operator's: companies, their end, their export, and the installation at a glance."""
