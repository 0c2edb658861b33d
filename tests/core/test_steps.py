"""What a Step and the decorators refuse before any class is created."""

from typing import Any

import pytest

from process_manager import Retry, Step, minutes, on
from process_manager.errors import DefinitionError
from process_manager.examples.order_fulfilment.messages import CardCharged, ChargeCard


@pytest.mark.parametrize(("options", "mend"), [({"within": 3600}, "minutes(10)"), ({"within": minutes(1), "retry": 3}, "Retry(3)")])
def test_a_number_is_no_span_and_no_retry(options: dict[str, Any], mend: str) -> None:
    """A step that would silently have no deadline, or break when it is overdue, is refused with the mend."""
    with pytest.raises(DefinitionError) as caught:
        Step(ChargeCard, done=CardCharged, **options)

    assert mend in str(caught.value)


def test_on_a_step_says_what_to_write() -> None:
    """`@on(step)`, by analogy with `@undo(step)`, is answered with what is meant."""
    with pytest.raises(DefinitionError, match="all_of"):
        on(Step(ChargeCard, done=CardCharged, within=minutes(1), retry=Retry(2)))  # type: ignore[call-overload]
