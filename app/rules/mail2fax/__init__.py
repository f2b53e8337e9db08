"""Boxes whose emails become faxes: what an email has to say, which ones are done with, what is answered."""
