"""The recorded log: its rows as events, in the order of the replay, and the end of each case as recorded."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from sys import intern
from typing import NamedTuple

from process_manager import Command, Event
from process_manager.examples.fine_collection.messages import (
    AddPenalty,
    AppealedToJudge,
    AppealForwarded,
    AppealLodged,
    AppealResultReceived,
    FineCreated,
    FineNotified,
    FineSent,
    ForwardAppeal,
    NotifyResult,
    OffenderNotified,
    PaymentReceived,
    PenaltyAdded,
    SendFine,
    SendToCollection,
    SentToCollection,
)


class BadRecording(ValueError):
    """The file is not a recording of fines; the message says which line is wrong."""


class Row(NamedTuple):
    """A row of the log; sorted, rows are in the order of the replay."""

    day: date
    case: str
    pos: int
    activity: str
    amount: Decimal  # of the fine, the postage or the payment
    dismissal: str
    total: Decimal | None
    article: str
    points: int
    vehicle_class: str

    def event(self) -> Event:
        """What the row says happened."""
        return _EVENTS[self.activity](self)

    @property
    def answers(self) -> type[Command] | None:
        """The command whose result this is; None for an event from outside."""
        return ANSWERS.get(self.activity)


_EVENTS: Mapping[str, Callable[[Row], Event]] = {
    "Create Fine": lambda row: FineCreated(
        case=row.case, amount=row.amount, article=row.article, points=row.points, vehicle_class=row.vehicle_class, dismissal=row.dismissal
    ),
    "Send Fine": lambda row: FineSent(case=row.case, expense=row.amount),
    "Insert Fine Notification": lambda row: FineNotified(case=row.case, notified_on=row.day),
    "Payment": lambda row: PaymentReceived(case=row.case, amount=row.amount, total=row.total),
    "Add penalty": lambda row: PenaltyAdded(case=row.case, amount=row.amount),
    "Insert Date Appeal to Prefecture": lambda row: AppealLodged(case=row.case),
    "Send Appeal to Prefecture": lambda row: AppealForwarded(case=row.case, dismissal=row.dismissal),
    "Receive Result Appeal from Prefecture": lambda row: AppealResultReceived(case=row.case),
    "Notify Result Appeal to Offender": lambda row: OffenderNotified(case=row.case),
    "Appeal to Judge": lambda row: AppealedToJudge(case=row.case, dismissal=row.dismissal),
    "Send for Credit Collection": lambda row: SentToCollection(case=row.case),
}

ANSWERS: Mapping[str, type[Command]] = {
    "Send Fine": SendFine,
    "Add penalty": AddPenalty,
    "Send Appeal to Prefecture": ForwardAppeal,
    "Notify Result Appeal to Offender": NotifyResult,
    "Send for Credit Collection": SendToCollection,
}

_AMOUNT_IN = {"Create Fine": "amount", "Add penalty": "amount", "Send Fine": "expense", "Payment": "paymentAmount"}


@dataclass(slots=True)
class Case:
    """What the log says about one case in the end."""

    amount: Decimal = Decimal(0)
    expense: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    in_collection: bool = False
    dismissed: bool = False
    appealed: bool = False
    penalties: tuple[date, ...] = ()

    @property
    def outcome(self) -> str:
        """The first that holds."""
        if self.in_collection:
            return "credit_collection"
        if self.dismissed:
            return "dismissed"
        if self.paid >= self.amount + self.expense:
            return "fully_paid"
        if self.paid > 0:
            return "partly_paid"
        return "appeal_open" if self.appealed else "unpaid_open"

    def add(self, row: Row) -> None:
        self.dismissed = self.dismissed or row.dismissal == "G"
        match row.activity:
            case "Create Fine":
                self.amount = row.amount
            case "Add penalty":
                self.amount = row.amount
                self.penalties += (row.day,)
            case "Send Fine":
                self.expense = row.amount
            case "Payment":
                self.paid += row.amount
            case "Send Appeal to Prefecture":
                self.appealed = True
                self.dismissed = self.dismissed or row.dismissal == "#"
            case "Appeal to Judge":
                self.appealed = True
            case "Send for Credit Collection":
                self.in_collection = True
            case _:
                pass


@dataclass
class Recording:
    """A log, or the first cases of it."""

    rows: list[Row] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, cases: int | None = None) -> "Recording":
        """The first cases of a `.csv` or `.csv.gz` file. Raises BadRecording, OSError."""
        recording = cls()
        for row in _rows(path):
            case = recording.cases.get(row.case)
            if case is None:
                if cases is not None and len(recording.cases) == cases:
                    continue
                case = recording.cases.setdefault(row.case, Case())
            case.add(row)
            recording.rows.append(row)
        recording.rows.sort(key=lambda row: row[:3])
        return recording

    def outcomes(self) -> dict[str, int]:
        """How the cases stand in the end, the most frequent outcome first."""
        return dict(Counter(case.outcome for case in self.cases.values()).most_common())


def _rows(path: Path) -> Iterator[Row]:
    """The rows in file order; equal values are one object, so that half a million rows fit in little memory."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt", encoding="utf-8", newline="") if packed else path.open(encoding="utf-8", newline="") as text:
        assert isinstance(text, io.TextIOBase)
        reader = csv.DictReader(text)
        try:
            for raw in reader:
                yield _row(raw)
        except (KeyError, TypeError, ValueError, InvalidOperation, EOFError, gzip.BadGzipFile, csv.Error) as error:
            reason = f"no column {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise BadRecording(f"{path}, line {reader.line_num}: {reason}") from error


def _row(raw: Mapping[str, str]) -> Row:
    activity = raw["activity"]
    if activity not in _EVENTS:
        raise ValueError(f"the activity {activity!r} is unknown")
    total = raw["totalPaymentAmount"]
    return Row(
        _date(raw["date"]),
        intern(raw["case"]),
        int(raw["pos"]),
        intern(activity),
        _decimal(raw[_AMOUNT_IN[activity]]) if activity in _AMOUNT_IN else Decimal(0),
        intern(raw["dismissal"]),
        _decimal(total) if total else None,
        intern(raw["article"]),
        int(raw["points"] or 0),
        intern(raw["vehicleClass"]),
    )


@cache
def _date(text: str) -> date:
    return date.fromisoformat(text)


@cache
def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{text!r} is no amount")
    return number
