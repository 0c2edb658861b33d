"""Hiding values in an instance's history: those of named fields, in inputs and commands alike, wherever else they stand.

The same value gets the same mask, so what belonged together still does. Only a number, or a text that is one, keeps to the fields of these
names in messages, besides keys, stream names and reasons: elsewhere it may equal a hidden one by chance.

A text becomes `masked-` and twelve letters, a number another number of fifteen digits (and as many behind the point), also where it
stands in a text, as amounts do.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from process_manager.core import facts
from process_manager.core.facts import FACTS
from process_manager.core.messages import Json
from process_manager.core.records import Record

_NUMBER = re.compile(r"(-?)\d+(?:\.(\d+))?(?:e[+-]?\d+)?")
_PLAIN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\d([T ].*)?")
"""Ids and times: only as a whole may they be a value that is hidden."""

_OURS = frozenset({
    "type", "id", "process", "step", "join", "reaction", "reactions", "name", "operation", "undoes", "replaces", "outstanding", "surplus",
    "status", "action", "matched_by", "request",
})  # fmt: skip
"""Names in our own facts and metadata whose values are the definition's or the library's words."""

_IDS = {"$correlationId", "$causationId"}
"""In the metadata of an input, the names under which a number is an id."""

LONG = 4
"""From this length on a hidden value is found inside other texts of a message too; shorter ones would be found everywhere."""


class Mask:
    """Hides the values of fields. `fields` are paths with dots, through lists too; `secret` decides the masks."""

    def __init__(self, fields: Sequence[str], secret: bytes) -> None:
        self._paths = [field.split(".") for field in fields]
        self._secret = secret

    def history(self, records: Sequence[Record]) -> Iterator[Record]:
        """The records of one instance, all of them, with what is hidden in any of them hidden in each."""
        parsed = [(orjson.loads(record.data), orjson.loads(record.metadata or b"null")) for record in records]
        values = {value for (data, _), record in zip(parsed, records, strict=True) for value in self._values(record.type, data)}
        hidden = _Hidden({value: self._masked(value) for value in values}, {path[-1] for path in self._paths} | _IDS)
        for (data, metadata), record in zip(parsed, records, strict=True):
            yield record._replace(
                stream=hidden.name(record.stream),
                data=orjson.dumps(hidden.data(record.type, data)),
                metadata=orjson.dumps(hidden.ours(metadata)),
            )

    def unmatched(self, records: Iterable[Record]) -> list[str]:
        """The fields at which none of these records has anything to hide; no more records are read than it takes."""
        left = list(self._paths)
        for record in records:
            message = _searched(record.type, orjson.loads(record.data))
            left = [path for path in left if next(_at(message, path), None) is None]
            if not left:
                break
        return [".".join(path) for path in left]

    def _values(self, type_: str, data: Json) -> Iterator[str]:
        message = _searched(type_, data)
        for path in self._paths:
            yield from (str(value) for value in _at(message, path))

    def _masked(self, value: str) -> str:
        digest = blake2b(value.encode(), key=self._secret, digest_size=16).hexdigest()
        number = _NUMBER.fullmatch(value)
        if number is None:
            return f"masked-{digest[:12]}"
        digits = f"{int(digest, 16):039d}"
        sign, fraction = number.groups()
        return f"{sign}{digits[-1].replace('0', '9')}{digits[1:15]}" + (f".{digits[15 : 15 + len(fraction)]}" if fraction else "")


def _searched(type_: str, data: Json) -> Any:
    """What fields are looked up in: a command, or the input of a fact."""
    return data.get("input", {}).get("data") if type_ in FACTS else data


def _at(value: Any, path: Sequence[str]) -> Iterator[str | int | float]:
    """The texts and numbers at the end of a path."""
    if isinstance(value, list):
        for each in value:
            yield from _at(each, path)
    elif path:
        if isinstance(value, dict) and path[0] in value:
            yield from _at(value[path[0]], path[1:])
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
        yield value


class _Hidden:
    """Values and their masks, and how they are put in place of each other; `names` are those of the fields in which numbers are hidden."""

    def __init__(self, masks: dict[str, str], names: set[str]) -> None:
        self._masks = masks
        self._names = names
        self._any = _found(masks)
        self._long = _found(value for value in masks if len(value) >= LONG)

    def name(self, stream: str) -> str:
        """The name of a stream of an instance; its process is no secret."""
        process, dash, key = stream.partition("-")
        return f"{process}{dash}{self._text(key, self._any)}"

    def data(self, type_: str, data: Any) -> Any:
        """The data of a record: a command, or a fact with its input."""
        if type_ not in FACTS:
            return self._message(data)
        if type_ == facts.SnapshotTaken.fact_type:
            return data | {"fold_version": "", "state": {}}  # it says the same as the facts before it, and is not needed
        return {name: self._input(value) if name == "input" else self._our(name, value) for name, value in data.items()}

    def ours(self, value: Any) -> Any:
        """Data or metadata that the library wrote."""
        if isinstance(value, dict):
            return {name: self._our(name, each) for name, each in value.items()}
        return [self.ours(each) for each in value] if isinstance(value, list) else self._leaf(value, self._any)

    def _our(self, name: str, value: Any) -> Any:
        return value if name in _OURS else self.ours(value)

    def _input(self, raw: Json) -> Json:
        signal = raw["type"].startswith("pm.")
        data = self.ours(raw["data"]) if signal else self._message(raw["data"])
        return raw | {"data": data, "metadata": self._message(raw["metadata"]), "stream": self._text(raw["stream"], self._any)}

    def _message(self, value: Any, *, named: bool = False) -> Any:
        if isinstance(value, dict):
            return {self._masks.get(name, name): self._message(each, named=name in self._names) for name, each in value.items()}
        if isinstance(value, list):
            return [self._message(each, named=named) for each in value]
        if _NUMBER.fullmatch(str(value)) and not named:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in self._masks:
            return type(value)(self._masks[str(value)])
        return self._leaf(value, self._long)

    def _leaf(self, value: Any, within: re.Pattern[str]) -> Any:
        return self._text(value, within) if isinstance(value, str) else value

    def _text(self, text: str, within: re.Pattern[str]) -> str:
        if text in self._masks:
            return self._masks[text]
        return text if _PLAIN.fullmatch(text) else within.sub(lambda found: self._masks[found[0]], text)


def _found(values: Iterable[str]) -> re.Pattern[str]:
    """Finds any of these values as words of their own, the longest first; nothing where there are none."""
    longest = sorted(values, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)" if longest else r"(?!)")
