"""The events and commands of a task, the model, its tools and the person who approves."""

from decimal import Decimal

from pydantic import BaseModel

from process_manager import Command, Event


class ToolUse(BaseModel, frozen=True):
    """A call that the model wants to make."""

    id: str
    tool: str
    argument: str
    cost: Decimal


class TaskGiven(Event, type="agent.task-given"):
    task_id: str
    goal: str
    limit: Decimal
    """What the task may cost without a person's approval."""


class AskModel(Command, type="agent.ask-model"):
    task_id: str
    turn: int
    goal: str
    known: tuple[str, ...]
    """What the tools said so far."""


class ModelAnswered(Event, type="agent.model-answered"):
    task_id: str
    turn: int
    thought: str
    tools: tuple[ToolUse, ...] = ()
    answer: str = ""
    """The task's result; then no tool is wanted any more."""


class CallTool(Command, type="agent.call-tool"):
    task_id: str
    call_id: str
    tool: str
    argument: str


class ToolAnswered(Event, type="agent.tool-answered"):
    task_id: str
    call_id: str
    tool: str
    result: str
    """What it found, or why it failed: the model is told either."""


class AskApproval(Command, type="agent.ask-approval"):
    task_id: str
    wanted: tuple[ToolUse, ...]
    total: Decimal


class SpendingApproved(Event, type="agent.spending-approved"):
    task_id: str
    by: str


class SpendingRefused(Event, type="agent.spending-refused"):
    task_id: str
    by: str
