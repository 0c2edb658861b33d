"""Numbers in sentences."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 event`, `2,000 events`, `2 processes` where the plural is said."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
