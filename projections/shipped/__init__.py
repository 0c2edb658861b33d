"""The projections that come with the library; reports read their tables."""

from collections.abc import Sequence

from projections.projection import Projection
from projections.shipped.audit import Audit
from projections.shipped.commands import Commands
from projections.shipped.deadlines import Deadlines
from projections.shipped.decisions import Decisions
from projections.shipped.events import Events
from projections.shipped.failures import Failures
from projections.shipped.instances import Instances
from projections.shipped.steps import Steps

__all__ = ["SHIPPED", "Audit", "Commands", "Deadlines", "Decisions", "Events", "Failures", "Instances", "Steps"]

SHIPPED: Sequence[Projection] = (Instances(), Steps(), Commands(), Decisions(), Deadlines(), Events(), Failures(), Audit())
"""The shipped projections, in no order that matters."""
