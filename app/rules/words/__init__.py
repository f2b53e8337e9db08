"""Every sentence for people, by code. Only here a rule speaks a language."""
