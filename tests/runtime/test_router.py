"""Which instances an input reaches."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import orjson
import pytest

from process_manager.core.codec import encode
from process_manager.core.records import NewRecord
from process_manager.ports import Block, Consumer, EventStore, StreamState
from process_manager.runtime.instances import load
from tests.runtime.claims import AddressChanged, Assessed, ClaimFiled, ClaimOpened, Claims, HandleClaim, Settle


def test_a_function_finds_the_key(store: EventStore) -> None:
    """An event without the key field reaches its instance by the function that was given for it."""
    claims = Claims(store)
    claims.publish(ClaimFiled(claim_id="7"))
    claims.publish(AddressChanged(ref="claim:7"))

    assert AddressChanged.message_type in claims.instance("7").events


def test_the_correlation_id_finds_an_instance_with_another_key(store: EventStore) -> None:
    """The id of the starting event, which had no correlation id, is that of the instance."""
    claims = Claims(store)
    filed = claims.publish(ClaimFiled(claim_id="7"))
    claims.publish(Assessed(amount=5), **{"$correlationId": filed})

    assert claims.instance("7").status == "completed"


def test_a_publishers_own_correlation_id_is_kept(store: EventStore) -> None:
    """All messages of the instance carry it, and answers find it by it."""
    claims = Claims(store)
    claims.publish(ClaimFiled(claim_id="7"), **{"$correlationId": "mail-99"})
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail-99"})

    assert claims.instance("7").status == "completed"
    carried = {orjson.loads(record.metadata)["$correlationId"] for record in store.read_stream("handle_claim-7")}
    assert carried == {"mail-99"}


def test_an_unknown_correlation_id_is_parked_and_can_be_replayed(store: EventStore) -> None:
    """Nobody can say yet which instance it concerns; once somebody can, a replay takes it."""
    claims = Claims(store)
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail-99"})
    (reason,) = claims.parked()
    assert "mail-99" in reason

    claims.publish(ClaimFiled(claim_id="7"), **{"$correlationId": "mail-99"})
    (group,) = store.groups()
    assert store.replay_parked(group.name) == 1
    while claims.turns.step():
        pass

    assert claims.instance("7").status == "completed"


def test_a_process_that_finds_no_instance_does_not_keep_an_event_from_another(store: EventStore) -> None:
    """That one takes it at once; for the first it is parked, and a replay is taken by the first alone."""
    claims = Claims(store, HandleClaim, Settle)
    claims.publish(ClaimOpened(claim_id="5"))
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail-99"})

    assert load(store, Settle.definition, "5").outcome == "settled"
    (reason,) = claims.parked()
    assert "handle_claim" in reason
    assert "mail-99" in reason

    claims.publish(ClaimFiled(claim_id="7"), **{"$correlationId": "mail-99"})
    store.replay_parked(store.groups()[0].name)
    while claims.turns.step():
        pass
    assert claims.instance("7").status == "completed"
    assert len(list(store.read_stream("settle-5"))) == 3  # started, taken, ended
    assert claims.parked() == []


def test_a_key_that_names_no_stream_is_parked(store: EventStore) -> None:
    """An empty key, or one that the function cannot find, has no instance."""
    claims = Claims(store)
    claims.publish(AddressChanged(ref="x"))
    claims.publish(ClaimFiled(claim_id="line\nbreak"))

    assert claims.parked() == [
        f"cannot decode a {type_}: {key!r} names no instance: a key is 1 to 500 printable characters"
        for type_, key in ((AddressChanged.message_type, ""), (ClaimFiled.message_type, "line\nbreak"))
    ]


def test_the_notes_of_a_batch_are_one_append_and_a_known_one_is_not_read_again(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is a round trip where the store is a server."""
    appends: list[list[str]] = []
    reads: list[str] = []
    append_many, read_stream = store.append_many, store.read_stream

    def appending(blocks: Sequence[Block], lease: Consumer | None = None) -> object:
        appends.append([block.stream for block in blocks])
        return append_many(blocks, lease)

    def reading(stream: str, **options: Any) -> object:
        reads.append(stream)
        return read_stream(stream, **options)

    claims = Claims(store)
    for key in "123":
        event = ClaimFiled(claim_id=key)
        record = NewRecord(str(uuid4()), event.message_type, encode(event), orjson.dumps({"$correlationId": f"mail-{key}"}))
        store.append(Block(f"in-{key}", [record], StreamState.NO_STREAM))
    monkeypatch.setattr(store, "append_many", appending)
    monkeypatch.setattr(store, "read_stream", reading)
    claims.turns.step()
    assert [len(streams) for streams in appends] == [3, 3]  # the notes, then the turns

    for _ in range(2):
        claims.publish(Assessed(amount=5), **{"$correlationId": "mail-1"})
    assert [stream for stream in reads if stream.startswith("pm.correlation-")] == ["pm.correlation-handle_claim/mail-1"]
    assert claims.instance("1").status == "completed"


def test_of_two_instances_with_one_correlation_id_the_first_noted_has_it(store: EventStore) -> None:
    """Answers that name only the id are for that one."""
    claims = Claims(store)
    claims.publish(ClaimFiled(claim_id="1"), **{"$correlationId": "mail"})
    claims.publish(ClaimFiled(claim_id="2"), **{"$correlationId": "mail"})
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail"})

    assert [claims.instance(key).status for key in "12"] == ["completed", "running"]
