"""The questions by name, and what a real EventStoreDB 23.10.8 answered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.interfaces.devserver.truth.protos import Json
from tests.interfaces.devserver.truth.session import Session

Scenario = Callable[[Session], None]

SCENARIOS: dict[str, Scenario] = {}
RECORDED: Json = json.loads((Path(__file__).parent / "recorded.json").read_text())["scenarios"]


def scenario(function: Scenario) -> Scenario:
    """Register a question: its docstring says what is asked."""
    SCENARIOS[function.__name__] = function
    return function


def ask(uri: str, name: str) -> Json:
    """Ask one question; the answer as it is recorded."""
    session = Session(uri)
    try:
        SCENARIOS[name](session)
    finally:
        session.close()
    order = [session.tokens[position] for position in sorted(session.tokens)]
    return {"asks": (SCENARIOS[name].__doc__ or "").strip(), "positions in order": order, "log": session.log}


def lenient(want: Any, got: Any) -> Any:
    """Where the real server only knew UNKNOWN, an INVALID_ARGUMENT that says why is as good: read it as the same."""
    if isinstance(want, dict) and isinstance(got, dict):
        if want.get("code") == "UNKNOWN" and got.get("code") in {"UNKNOWN", "INVALID_ARGUMENT"}:
            return want
        return {key: lenient(want.get(key), value) for key, value in got.items()}
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [lenient(w, g) for w, g in zip(want, got, strict=True)]
    return got
