"""Imports what `module:attribute` names on the command line, an app or projections, or says why that fails."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from process_manager.errors import AppError, ProcessManagerError

if TYPE_CHECKING:
    from process_manager.runtime.app import App
    from projections.projection import Projection

OURS = "projections"
"""Our package whose name is common enough for a user's own module."""


class Sought(NamedTuple):
    """What is looked for, for messages and suggestions: an example name, how such an object is written, and whether an object is one."""

    example: str
    written: str
    fits: Callable[[object], bool]


def load_app(name: str) -> "App":
    """The app that `module:attribute` names. Raises AppError that says what to do."""
    from process_manager.runtime.app import App

    sought = Sought("shop.orders:app", "app = App('shop', processes=[...], handlers=[...])", lambda found: isinstance(found, App))
    found = load(name, sought)
    if not isinstance(found, App):
        raise AppError([f"{name} is a {type(found).__name__}, not an App{_in_module(sys.modules[name.partition(':')[0]], sought)}"])
    return found


def load_projections(name: str | None) -> "Sequence[Projection]":
    """The shipped projections, and those that `module:attribute` names, a projection or several. Raises ProjectionError."""
    from projections.errors import ProjectionError
    from projections.shipped import SHIPPED

    if name is None:
        return SHIPPED
    sought = Sought("views:projections", "projections = [Orders()]", lambda found: bool(_projections_in(found)))
    try:
        own = _projections_in(load(name, sought))
    except AppError as error:
        raise ProjectionError(f"the projections cannot be loaded: {'; '.join(error.problems)}") from error
    if not own:
        raise ProjectionError(f"{name} is no projection: write orders = Orders(), or a list of several")
    together = [*SHIPPED, *own]
    if twice := _named_twice(together):
        raise ProjectionError(f"{name}: there are two projections or tables named {', '.join(twice)}: rename yours")
    return together


def _projections_in(found: object) -> "list[Projection]":
    from projections.projection import Projection

    several = [found] if isinstance(found, Projection) else found if isinstance(found, list | tuple) else []
    return list(several) if all(isinstance(each, Projection) for each in several) else []


def _named_twice(projections: "Sequence[Projection]") -> list[str]:
    names = [name for each in projections for name in {each.name, *(table.name for table in each.tables)}]
    return sorted({name for name in names if names.count(name) > 1})


def load(name: str, sought: Sought) -> object:
    """What `module:attribute` names. Raises AppError that says what to do."""
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise AppError([f"{name!r}: write module:attribute, such as {_with_colon(name) or sought.example}"])
    if module_name.endswith(".py"):
        raise AppError([f"{name!r} names a file: write its module, {'.'.join(Path(module_name).with_suffix('').parts)}:{attribute}"])
    _see_current_directory()
    module = _import(name, module_name)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise AppError([f"{name}: {module_name} has no {attribute!r}{_in_module(module, sought)}"])
        found = getattr(found, part)
    return found


def _with_colon(name: str) -> str:
    """`views.projections` with its last dot as a colon; "" where that makes no name."""
    module, dot, attribute = name.strip(":").rpartition(".")
    return f"{module}:{attribute}" if dot and module and attribute not in {"", "py"} else ""


def _see_current_directory() -> None:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _import(name: str, module_name: str) -> object:
    if module_name.partition(".")[0] == OURS and (problem := shadow()):
        raise AppError([problem])
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            mend = f"start pm where {error.name} can be imported from, or install it"
            raise AppError([f"{name}: there is no module {error.name!r}: {mend}"]) from error
        raise AppError([shadowed(error) or f"{name}: {module_name} imports {error.name!r}, which is not installed"]) from error
    except ProcessManagerError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, ProcessManagerError):  # up to Python 3.11 what __set_name__ raises comes in a RuntimeError
            raise error.__cause__ from error
        told = f"{name}: importing {module_name} raised {type(error).__name__}: {error}{_where(error)}"
        raise AppError([shadowed(error) or told]) from error


def shadow() -> str:
    """What to do about a module of the user's that hides our package `projections`; "" where none does."""
    from importlib.machinery import PathFinder

    ours = Path(__file__).parents[2] / OURS / "__init__.py"
    found = PathFinder.find_spec(OURS, [str(Path.cwd()), *sys.path])
    if found is None or found.origin is None or Path(found.origin) == ours:
        return ""
    return f"{found.origin} hides the package {OURS} of this library, which has the same name: rename it, to views.py for instance"


def shadowed(error: Exception) -> str:
    """What `shadow` says, if that is why an import failed; else ""."""
    return shadow() if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == OURS else ""


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def _in_module(module: object, sought: Sought) -> str:
    found = [name for name, value in vars(module).items() if sought.fits(value)]
    return f"; it has {', '.join(found)}" if found else f": give it one, as in {sought.written}"
