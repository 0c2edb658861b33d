"""Numbers and lists in sentences."""

from collections.abc import Iterable


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 event`, `2,000 events`, `2 processes` where the plural is said."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def there(names: Iterable[str]) -> str:
    """What there is, as a part of a sentence: `there is a`, `there are a, b`, `there are none`."""
    listed = list(names)
    return f"there {'is' if len(listed) == 1 else 'are'} {', '.join(listed) or 'none'}"
