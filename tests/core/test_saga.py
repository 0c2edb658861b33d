"""A saga is a process manager whose table writes its reactions."""

from typing import Any

import pytest

from process_manager import FOREVER, Event, ProcessManager, hours
from process_manager.core.saga import Saga, SagaStep
from process_manager.errors import DefinitionError
from process_manager.testing.scenario import Scenario, scenario
from tests.core.trips import (
    BookCar,
    BookFlight,
    BookHotel,
    BookTrip,
    CancelFlight,
    CancelHotel,
    CarBooked,
    FlightBooked,
    FlightCancelled,
    HotelBooked,
    HotelCancelled,
    HotelFull,
    TripRequested,
)

FLIGHT = FlightBooked(trip_id="1", arrival="noon")
HOTEL = HotelBooked(trip_id="1")


def trip() -> Scenario:
    return scenario(BookTrip).given(TripRequested(trip_id="1", to="Rome"))


def test_the_steps_run_in_the_order_of_the_table() -> None:
    case = trip().then(BookFlight(trip_id="1", to="Rome"))
    case.when(FLIGHT).then(BookHotel(trip_id="1", to="Rome", arrival="noon"))
    case.when(HOTEL).then(BookCar(trip_id="1", note="lands at noon")).when(CarBooked(trip_id="1")).then_completed("booked")


def test_a_failure_undoes_what_was_done() -> None:
    case = trip().given(FLIGHT).when(HotelFull(trip_id="1")).then_compensating("hotel failed: hotels.hotel-full")
    case.then(CancelFlight(trip_id="1")).when(FlightCancelled(trip_id="1")).then_compensated()


def test_overdue_undoes_what_may_have_been_done_too() -> None:
    case = trip().given(FLIGHT).after(hours(1)).then_compensating("hotel is overdue").then(CancelHotel(trip_id="1", arrival="noon"))
    case.when(HotelCancelled(trip_id="1")).then(CancelFlight(trip_id="1"))
    case.when(FlightCancelled(trip_id="1")).then_compensated("hotel is overdue")


def test_it_is_an_ordinary_definition() -> None:
    definition = BookTrip.definition
    assert issubclass(BookTrip, ProcessManager)
    assert definition.name == "book_trip"
    assert list(definition.steps) == ["flight", "hotel", "car", "cancel_flight", "cancel_hotel"]
    assert definition.undo_steps == {"cancel_flight", "cancel_hotel"}
    assert definition.reaction("flight_booked").announces == {BookHotel}


class TrainBooked(Event, type="trains.train-booked"):
    trip_id: str
    arrival: str


class Either(Saga, key="trip_id", starts=TripRequested, ends="there"):
    """A step that two events may complete."""

    way = SagaStep(BookFlight, done=(FlightBooked, TrainBooked), within=FOREVER, needs_undo=False)
    hotel = SagaStep(BookHotel, done=HotelBooked, within=FOREVER, undo=CancelHotel, undone=HotelCancelled)


@pytest.mark.parametrize("event", [FLIGHT, TrainBooked(trip_id="1", arrival="noon")])
def test_a_step_may_be_done_in_several_ways(event: Event) -> None:
    case = scenario(Either).given(TripRequested(trip_id="1", to="Rome")).when(event)
    case.then(BookHotel(trip_id="1", to="Rome", arrival="noon")).when(HOTEL).then_completed("there")


def made(**members: Any) -> type:
    return type("Wrong", (Saga,), {"__module__": __name__, **members}, key="trip_id", starts=TripRequested, ends="x")


def flight(**changes: Any) -> SagaStep[BookFlight, FlightBooked]:
    fields: dict[str, Any] = {"done": FlightBooked, "within": FOREVER, "undo": CancelFlight, "undone": FlightCancelled}
    return SagaStep(BookFlight, **fields | changes)


@pytest.mark.parametrize(
    ("members", "where", "mend"),
    [
        ({}, "Wrong:", "SagaStep attributes"),
        (
            {"hotel": SagaStep(BookHotel, done=HotelBooked, within=FOREVER, needs_undo=False)},
            "Wrong.hotel: nothing before it has the field arrival",
            "make=lambda self",
        ),
        ({"flight": flight(undo=None)}, "Wrong.flight", "say needs_undo=False"),
        ({"flight": flight(needs_undo=False)}, "Wrong.flight", "drop one of the two"),
        ({"flight": flight(undo=CancelHotel, undone=HotelCancelled)}, "Wrong.flight: BookFlight has no field arrival", "give it a default"),
        ({"flight": flight(), "cancel_flight": 1}, "Wrong.cancel_flight", "rename it"),
    ],
)
def test_a_saga_that_cannot_work_is_refused_with_the_mend(members: dict[str, Any], where: str, mend: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        made(**members)
    assert str(caught.value).startswith(where)
    assert mend in str(caught.value)
