"""The read side: projections turn the log into tables, reports read them."""

from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Row, Rows

__all__ = ["Message", "Projection", "Row", "Rows", "reads"]
