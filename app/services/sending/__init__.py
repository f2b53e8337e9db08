"""The sending report, and the self-test's page."""
