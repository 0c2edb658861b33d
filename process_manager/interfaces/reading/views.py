"""Where the views of a store are."""

from pathlib import Path
from typing import TYPE_CHECKING

from process_manager.interfaces.address import read_address

if TYPE_CHECKING:
    from projections.views import Views


def default_path(store_url: str) -> Path | None:
    """Where the views of a store in a file are: in a file beside it, `shop.views.db` beside `shop.db`. None for other stores."""
    path = read_address(store_url).path
    return None if path is None else path.with_name(path.name.removesuffix(".db") + ".views.db")


def open_views(store_url: str, views_url: str | None) -> "Views | None":
    """The views at an address, or the default ones; None where a store has no default."""
    path = default_path(store_url)
    if views_url is None and path is None:
        return None
    from projections.views import Views

    return Views(views_url or f"sqlite:///{path}")
