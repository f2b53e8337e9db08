"""Templates of mails and reports, in the language of whoever reads them."""
