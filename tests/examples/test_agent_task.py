"""The agent's task: what it may do by itself, what it asks a person for, and that its history says why."""

from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from process_manager import hours, minutes
from process_manager.examples.agent_task import app
from process_manager.examples.agent_task.__main__ import SIEGE, TASKS, main
from process_manager.examples.agent_task.messages import (
    AskApproval,
    AskModel,
    CallTool,
    ModelAnswered,
    SpendingApproved,
    SpendingRefused,
    TaskGiven,
    ToolAnswered,
    ToolUse,
)
from process_manager.examples.agent_task.process import MOST_TURNS, AgentTask
from process_manager.interfaces import bootstrap
from process_manager.testing.crash_points import Published, survives
from process_manager.testing.scenario import Scenario, scenario

GIVEN = TaskGiven(task_id="1", goal="g", limit=Decimal(1))
CALLS = [CallTool(task_id="1", call_id=id_, tool="t", argument=id_) for id_ in ("a", "b")]


def wants(cost: str, turn: int = 1, ids: str = "ab") -> ModelAnswered:
    tools = tuple(ToolUse(id=id_, tool="t", argument=id_, cost=Decimal(cost)) for id_ in ids)
    return ModelAnswered(task_id="1", turn=turn, thought="", tools=tools)


def answered(id_: str) -> ToolAnswered:
    return ToolAnswered(task_id="1", call_id=id_, tool="t", result=f"result {id_}")


def asked(turn: int, *known: str) -> AskModel:
    return AskModel(task_id="1", turn=turn, goal="g", known=known)


def over_the_limit() -> Scenario:
    return scenario(AgentTask).given(GIVEN).when(wants("0.60"))


def test_within_the_limit_it_calls_all_tools_at_once_and_asks_again_when_the_last_has_answered() -> None:
    (
        scenario(AgentTask)
        .when(GIVEN)
        .then(asked(1))
        .when(wants("0.40"))
        .then_decided("spend without asking", "yes", because="0.80")
        .then(*CALLS)
        .when(answered("b"))
        .then_nothing()
        .when(answered("a"))
        .then(asked(2, "t: result a", "t: result b"))
        .when(ModelAnswered(task_id="1", turn=2, thought="", answer="42"))
        .then_completed("42")
    )


def test_over_the_limit_a_person_decides() -> None:
    over_the_limit().then_decided("spend without asking", "no", because="1.20").then(
        AskApproval(task_id="1", wanted=wants("0.60").tools, total=Decimal("1.20"))
    )
    over_the_limit().when(SpendingApproved(task_id="1", by="ada")).then(*CALLS)
    over_the_limit().when(SpendingRefused(task_id="1", by="alan")).then_aborted("alan did not approve 1.20")
    over_the_limit().after(hours(4)).then_aborted("nobody approved 1.20 in time")


def test_what_was_spent_before_counts() -> None:
    case = scenario(AgentTask).given(GIVEN, wants("0.40"), answered("a"), answered("b"))
    case.when(wants("0.30", turn=2, ids="c")).then_decided("spend without asking", "no", because="1.10")


def test_it_gives_up_after_so_many_turns_and_when_nobody_answers() -> None:
    scenario(AgentTask).given(GIVEN).when(wants("0", turn=MOST_TURNS)).then_aborted(f"no answer after {MOST_TURNS} turns")
    scenario(AgentTask).given(GIVEN).after(hours(1)).then_aborted("the model does not answer")
    scenario(AgentTask).given(GIVEN, wants("0")).after(minutes(10)).then_aborted("the tool t does not answer")


def test_it_survives_everything_and_asks_the_same_whichever_tool_answers_first() -> None:
    assert survives(app, [TaskGiven(task_id="1", goal="plan a day in Turin", limit=Decimal(1))]).swaps > 0


def test_the_approval_survives_everything_too() -> None:
    task = TaskGiven(task_id="1", goal=SIEGE, limit=Decimal(1))
    assert survives(app, [task, Published(SpendingApproved(task_id="1", by="ada"), after=hours(1))]).swaps > 0
    assert survives(app, [task, Published(SpendingRefused(task_id="1", by="alan"), after=hours(1))]).swaps > 0
    assert survives(app, [task]).crashes > 0  # nobody approves


@pytest.fixture
def lived(tmp_path: Path) -> str:
    """The example run once as its users do, into a file."""
    url = f"sqlite:///{tmp_path}/agent.db"
    answer = CliRunner().invoke(main, ["--store", url], catch_exceptions=False)
    assert answer.exit_code == 0
    assert all(f"agent_task-{task}" in answer.output for task in TASKS)
    return url


def test_the_example_runs_and_its_log_says_how_each_task_ended(lived: str) -> None:
    store = bootstrap.open_log(lived)
    ends = {each.stream: orjson.loads(each.data) for each in store.read_all() if each.type == "pm.ended"}
    store.close()
    assert {stream: end["status"] for stream, end in ends.items()} == {
        "agent_task-day": "completed", "agent_task-siege": "completed", "agent_task-refused": "aborted", "agent_task-forgotten": "aborted",
    }  # fmt: skip
    assert "7 September 1706" in ends["agent_task-siege"]["outcome"]
    assert "weather: failed, nothing is known of Turin 1706" in ends["agent_task-siege"]["outcome"]
    assert ends["agent_task-forgotten"]["outcome"] == "nobody approved 4.02 in time"


def test_run_again_it_changes_nothing(lived: str) -> None:
    store = bootstrap.open_log(lived)
    before = list(store.read_all())
    assert CliRunner().invoke(main, ["--store", lived], catch_exceptions=False).exit_code == 0
    assert list(store.read_all()) == before
    store.close()
