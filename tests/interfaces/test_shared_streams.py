"""A domain that names its streams like the instances of a process: nobody overlooks such an instance."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.ports import Block, StreamState
from tests.interfaces.conftest import Pm

CLAIMS = '''
from process_manager import *

class Filed(Event, type="claims.filed"):
    id: str

class Paid(Event, type="claims.paid"):
    id: str

class Assess(Command, type="claims.assess"):
    id: str

class Assessed(Event, type="claims.assessed"):
    id: str

class Claim(ProcessManager, key="id"):
    """Assesses a claim, then waits for the payment."""

    STEP = Step(Assess, done=Assessed, within=days(3), needs_undo=False, then=CONTINUE, otherwise=Abort("not assessed"))

    @starts
    def filed(self, event: Filed) -> Effects[Assess]:
        yield Assess(id=event.id)

    @on(after=STEP)
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")

app = App("claims", processes=[Claim])
'''


def event(type_: str, stream: str) -> str:
    return json.dumps({"id": f"{type_} {stream}", "type": type_, "stream": stream, "data": {"id": stream.partition("-")[2]}})


@pytest.fixture
def claims(pm: Pm, place: Path) -> Pm:
    """`pm` with two instances in streams that begin with a domain event: one runs, one was paid for before it was filed and waits."""
    Path("claims_today.py").write_text(CLAIMS.replace("STEP", "assess"))
    Path("claims_without.py").write_text(CLAIMS.replace("STEP", "judge"))
    assert pm("publish", "-", input=event("claims.filed", "claim-1") + "\n" + event("claims.paid", "claim-2")).code == 0
    assert pm("run", "--app", "claims_today:app", "--until-idle").code == 0
    return pm


@pytest.mark.parametrize("store", ["process-manager.db", "sample.db"])
def test_every_command_sees_the_same_instances(claims: Pm, store: str) -> None:
    lines = claims("export").out
    assert claims("import", "-", "--store", "sample.db", input=lines).code == 0
    listed = [(row["instance"], row["status"]) for row in json.loads(claims("list", "--store", store, "-o", "json").out)]
    exported = {json.loads(line)["stream"] for line in claims("export", "--store", store).out.splitlines()[1:]}
    drift = claims("drift", "--app", "claims_today:app", "--store", store)

    assert sorted(listed) == [("claim-1", "running"), ("claim-2", "not_started")]
    assert exported == {"claim-1", "claim-2"}
    assert drift.code == 0
    assert "2 instances, 2 turns judged" in drift.err


def test_a_deploy_that_breaks_such_an_instance_is_told_before(claims: Pm) -> None:
    fits = claims("check", "--app", "claims_today:app", "--store", "process-manager.db")
    breaks = claims("check", "--app", "claims_without:app", "--store", "process-manager.db", "-o", "ids")

    assert (fits.code, breaks.code) == (0, 5)
    assert "all 2 instances can go on" in fits.err
    assert breaks.out == "claim-1\n"


def test_whoever_names_the_app_is_warned_of_events_in_streams_of_its_instances(claims: Pm) -> None:
    before = claims("publish", "-", "--app", "claims_today:app", "--store", "new.db", input=event("claims.filed", "claim-7"))
    run = claims("run", "--app", "claims_today:app", "--until-idle", "--store", "new.db")
    check = claims("check", "--app", "claims_today:app", "--store", "process-manager.db")

    assert "warning: 1 event in the stream claim-7, where instances keep what they know" in before.err
    assert run.err.count("events stand in streams where instances of claim keep what they know, such as claim-7") == 1
    assert "warning: 2 events in 2 streams such as claim-1, where instances keep what they know" in check.err


def test_what_handlers_record_needs_nobody_to_take_it(pm: Pm, recorded: Path) -> None:
    """The demo's reviews record that they were asked for."""
    check = pm("check", "--app", "process_manager.examples.order_fulfilment:app", "--store", str(recorded))
    assert "warning: 1 event of type demo.planned" in check.err
    assert check.err.count("warning") == 1


def test_what_a_server_keeps_of_its_groups_in_the_file_needs_nobody_to_take_it(claims: Pm) -> None:
    kept = NewRecord(derive("kept"), "PersistentConfig1", b"{}", b"")
    with closing(SqliteStore("process-manager.db")) as store:
        store.append(Block("$persistentSubscriptionConfig", [kept], StreamState.ANY))
    assert "which no process" not in claims("check", "--app", "claims_today:app", "--store", "process-manager.db").err


def test_a_check_of_the_store_names_the_types_that_the_app_does_not_take(claims: Pm) -> None:
    lines = [event("claims.field", "filing-1"), event("claims.field", "filing-2"), event("claims.filed", "filing-3")]
    assert claims("publish", "-", input="\n".join(lines)).code == 0
    check = claims("check", "--app", "claims_today:app", "--store", "process-manager.db")

    assert check.code == 0
    assert "warning: 2 events of type claims.field, which no process or aggregate of the app takes: did you mean claims.filed?" in check.err
    assert check.err.count("which no process") == 1  # the commands of its steps have no handler here, and are no events
