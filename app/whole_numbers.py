"""Whole numbers as forms, addresses and other programs write them: the one reader. Standard library only."""

#: The largest that a column of the database holds (a signed integer of 64 bits).
MOST = 2**63 - 1


def read_whole(text: str, *, least: int = 0, most: int = MOST) -> int | None:
    """ASCII digits and nothing else; None if it is no such number, or not within these bounds."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST))):
        return None
    number = int(text)
    return number if least <= number <= most else None
