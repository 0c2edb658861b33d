"""What an aggregate promises to its domain methods and to whoever appends its events."""

import pytest

from process_manager import Aggregate, Event, Refused, applies
from process_manager.errors import DefinitionError


class Opened(Event, type="test.opened"):
    owner: str


class Paid(Event, type="test.paid"):
    amount: int


class Nameless(Event):
    amount: int


class AlsoPaid(Event, type="test.paid"):
    amount: int


class Account(Aggregate, category="account"):
    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.balance = 0

    def pay(self, amount: int) -> None:
        if amount < 0:
            raise Refused(Opened(owner="nobody"))
        self.record(Paid(amount=amount))

    @applies
    def was_paid(self, event: Paid) -> None:
        self.balance += event.amount


def test_what_is_recorded_is_applied_at_once_and_handed_over_once() -> None:
    """Later lines of a domain method see the new state; the caller takes each event one time."""
    account = Account("1")
    account.pay(3)
    account.pay(4)

    assert account.balance == 7
    assert [event for event, _ in account.take_recorded()] == [Paid(amount=3), Paid(amount=4)]
    assert account.take_recorded() == []


def test_an_old_event_changes_the_state_and_is_not_recorded() -> None:
    """Rebuilding leads to nothing that could be appended."""
    account = Account("1")
    account.apply(Paid(amount=5))

    assert account.balance == 5
    assert account.take_recorded() == []


def test_an_event_that_no_method_takes_in_is_recorded_all_the_same() -> None:
    """Not every fact changes what the object needs to know."""
    account = Account("1")
    account.record(Opened(owner="me"))

    assert account.take_recorded() == [(Opened(owner="me"), "")]


def test_an_event_may_answer_an_earlier_command() -> None:
    """What became known late names the command that it answers."""
    account = Account("1")
    account.record(Paid(amount=1), answers="an-id")

    assert account.take_recorded() == [(Paid(amount=1), "an-id")]


def test_a_refusal_carries_its_event() -> None:
    """The event is the outcome; its text is in the error."""
    with pytest.raises(Refused, match="nobody") as refused:
        Account("1").pay(-1)

    assert refused.value.event == Opened(owner="nobody")


def test_the_class_knows_its_events_by_their_written_names() -> None:
    """So that a stored record finds its class."""
    assert Account.events == {"test.paid": Paid}
    assert Account.category == "account"


def test_an_event_without_a_written_name_cannot_be_recorded() -> None:
    """It could not be read again."""
    with pytest.raises(DefinitionError, match="Nameless: it has no written name"):
        Account("1").record(Nameless(amount=1))


@pytest.mark.parametrize(
    ("category", "problem"), [("my-account", "holds a '-'"), ("$account", "is reserved"), ("pm.account", "is reserved")]
)
def test_a_category_that_would_break_stream_names_is_refused(category: str, problem: str) -> None:
    """The part before the first '-' is the category, and some are the store's and the library's."""
    with pytest.raises(DefinitionError, match=problem):

        class Wrong(Aggregate, category=category):
            pass


def test_two_events_of_one_name_are_refused() -> None:
    """A record could be either."""
    with pytest.raises(DefinitionError, match=r"both written 'test\.paid'"):

        class Wrong(Aggregate, category="wrong"):
            @applies
            def paid(self, event: Paid) -> None:
                pass

            @applies
            def also_paid(self, event: AlsoPaid) -> None:
                pass


def test_an_applied_event_without_a_name_is_refused() -> None:
    """The error names the method and the mend."""
    with pytest.raises(DefinitionError, match=r"Wrong.nameless: Nameless has no written name: give its class type"):

        class Wrong(Aggregate, category="wrong"):
            @applies
            def nameless(self, event: Nameless) -> None:
                pass


def test_a_subclass_keeps_the_category_and_the_methods() -> None:
    """A base may hold what several share."""

    class Saving(Account):
        pass

    saving = Saving("1")
    saving.apply(Paid(amount=2))
    assert (Saving.category, saving.balance) == ("account", 2)
