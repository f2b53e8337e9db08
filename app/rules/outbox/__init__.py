"""Mails as rows: written in the transaction of what they tell, looked after until they are gone."""
