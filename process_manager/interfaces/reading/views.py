"""Where the views of a store are, and which projections build them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from process_manager.errors import AppError
from process_manager.interfaces import bootstrap
from process_manager.interfaces.loading import Sought, load

if TYPE_CHECKING:
    from projections.projection import Projection
    from projections.views import Views


def default_path(store_url: str) -> Path | None:
    """Where the views of a store in a file are: in a file beside it, `shop.views.db` beside `shop.db`. None for other stores."""
    path = bootstrap.read_address(store_url).path
    return None if path is None else path.with_name(path.name.removesuffix(".db") + ".views.db")


def open_views(store_url: str, views_url: str | None) -> "Views | None":
    """The views at an address, or the default ones; None where a store has no default."""
    path = default_path(store_url)
    if views_url is None and path is None:
        return None
    from projections.views import Views

    return Views(views_url or f"sqlite:///{path}")


def load_projections(name: str | None) -> "Sequence[Projection]":
    """The shipped projections, and those that `module:attribute` names, a projection or several. Raises ProjectionError."""
    from projections.shipped import SHIPPED

    if name is None:
        return SHIPPED
    from projections.errors import ProjectionError
    from projections.projection import Projection

    def projections_in(found: object) -> list[Projection]:
        several = [found] if isinstance(found, Projection) else found if isinstance(found, list | tuple) else []
        return list(several) if all(isinstance(each, Projection) for each in several) else []

    sought = Sought("views:projections", "projections = [Orders()]", lambda found: bool(projections_in(found)))
    try:
        own = projections_in(load(name, sought))
    except AppError as error:
        raise ProjectionError(f"the projections cannot be loaded: {'; '.join(error.problems)}") from error
    if not own:
        raise ProjectionError(f"{name} is no projection: write orders = Orders(), or a list of several")
    together = [*SHIPPED, *own]
    names = [*(each.name for each in together), *(table.name for each in together for table in each.tables if table.name != each.name)]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise ProjectionError(f"{name}: there are two projections or tables named {', '.join(twice)}: rename yours")
    return together
