"""Columns that the shipped tables share."""

from sqlalchemy import BigInteger, Column, MetaData, String

METADATA = MetaData()
"""Of all shipped tables, so that a name is used once."""


def instance(*, primary_key: bool = False) -> Column[str]:
    """The stream of the instance."""
    return Column("instance", String, primary_key=primary_key, nullable=False)


def process() -> Column[str]:
    """The name of the process."""
    return Column("process", String, nullable=False)


def time(name: str, *, nullable: bool = False) -> Column[int]:
    """A time, in microseconds since 1970."""
    return Column(name, BigInteger, nullable=nullable)


def position(name: str = "position", *, primary_key: bool = False) -> Column[int]:
    """A place in the log."""
    return Column(name, BigInteger, primary_key=primary_key, autoincrement=False, nullable=False)


def text(name: str, *, primary_key: bool = False) -> Column[str]:
    """Words; empty where there are none."""
    return Column(name, String, primary_key=primary_key, nullable=False, default="")
