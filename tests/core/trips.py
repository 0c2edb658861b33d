"""A trip that is booked by a saga."""

from process_manager import Command, Event, Retry, hours
from process_manager.core.saga import Saga, SagaStep


class TripRequested(Event, type="trips.trip-requested"):
    trip_id: str
    to: str


class BookFlight(Command, type="flights.book-flight"):
    trip_id: str
    to: str
    seats: int = 1


class FlightBooked(Event, type="flights.flight-booked"):
    trip_id: str
    arrival: str


class FlightFull(Event, type="flights.flight-full"):
    trip_id: str


class CancelFlight(Command, type="flights.cancel-flight"):
    trip_id: str


class FlightCancelled(Event, type="flights.flight-cancelled"):
    trip_id: str


class BookHotel(Command, type="hotels.book-hotel"):
    trip_id: str
    to: str
    arrival: str


class HotelBooked(Event, type="hotels.hotel-booked"):
    trip_id: str


class HotelFull(Event, type="hotels.hotel-full"):
    trip_id: str


class CancelHotel(Command, type="hotels.cancel-hotel"):
    trip_id: str
    arrival: str


class HotelCancelled(Event, type="hotels.hotel-cancelled"):
    trip_id: str


class BookCar(Command, type="cars.book-car"):
    trip_id: str
    note: str


class CarBooked(Event, type="cars.car-booked"):
    trip_id: str


class BookTrip(Saga, version=1, key="trip_id", starts=TripRequested, ends="booked"):
    """Books flight, hotel and car; what was booked is cancelled when a later booking fails."""

    flight = SagaStep(
        BookFlight, done=FlightBooked, failed=FlightFull, undo=CancelFlight, undone=FlightCancelled, within=hours(1), retry=Retry(2)
    )
    hotel = SagaStep(BookHotel, done=HotelBooked, failed=HotelFull, undo=CancelHotel, undone=HotelCancelled, within=hours(1))
    car = SagaStep(
        BookCar, done=CarBooked, within=hours(1), needs_undo=False,
        make=lambda self: BookCar(trip_id=self.key, note=f"lands at {self.event(FlightBooked).arrival}"),
    )  # fmt: skip
