"""The ways to carriers and telephone systems: what they are told, how they write, when one is set aside."""
