"""The whole agent. The model proposes, the process decides: what is called, what needs approval, and when to give up."""

from decimal import Decimal

from process_manager import (
    Abort,
    Complete,
    Decision,
    Effects,
    ProcessManager,
    Retry,
    State,
    Step,
    applies,
    hours,
    minutes,
    on,
    overdue,
    starts,
)
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

MOST_TURNS = 5


class Work(State):
    """What the agent has spent, and which tool calls of this turn have no answer yet."""

    wanted: tuple[ToolUse, ...] = ()
    spent: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """What the task costs, with the calls that are wanted."""
        return self.spent + sum((use.cost for use in self.wanted), Decimal(0))

    @applies
    def model_answered(self, answered: ModelAnswered) -> "Work":
        return self.but(wanted=answered.tools)

    @applies
    def tool_answered(self, answered: ToolAnswered) -> "Work":
        return self.but(
            wanted=tuple(use for use in self.wanted if use.id != answered.call_id),
            spent=self.spent + sum(use.cost for use in self.wanted if use.id == answered.call_id),
        )


class AgentTask(ProcessManager[Work], version=1, key="task_id"):
    """Asks the model, calls the tools that it wants at once, and asks again with their results, until it knows the answer.

    What would cost more than the task's limit a person has to approve, within four hours.
    """

    # the steps: what is asked for, what answers it, and how long that may take

    ask_model = Step(AskModel, each=lambda c: str(c.turn), done=ModelAnswered, within=minutes(5), retry=Retry(3), needs_undo=False)
    call_tool = Step(CallTool, each=lambda c: c.call_id, done=ToolAnswered, within=minutes(10), needs_undo=False)
    ask_approval = Step(  # no handler: a person publishes the answer
        AskApproval, done=SpendingApproved, failed=SpendingRefused, within=hours(4), needs_undo=False
    )

    # the way to the answer

    @starts
    def task_given(self, _: TaskGiven) -> Effects[AskModel]:
        yield self.question(turn=1)

    @on
    def model_answered(self, answered: ModelAnswered) -> Effects[CallTool | AskApproval | Complete | Abort]:
        limit = self.event(TaskGiven).limit
        if answered.answer:
            yield Complete(answered.answer)
        elif answered.turn == MOST_TURNS or not answered.tools:
            yield Abort(f"no answer after {answered.turn} turns")
        elif self.state.total > limit:
            yield Decision("spend without asking", "no", because=f"it would come to {self.state.total}, the limit is {limit}")
            yield AskApproval(task_id=self.key, wanted=answered.tools, total=self.state.total)
        else:
            yield Decision("spend without asking", "yes", because=f"it comes to {self.state.total}, the limit is {limit}")
            yield from self.calls()

    @on
    def spending_approved(self, _: SpendingApproved) -> Effects[CallTool]:
        yield from self.calls()

    @on
    def tool_answered(self, _: ToolAnswered) -> Effects[AskModel]:
        if not self.state.wanted:  # that was the last one of this turn
            yield self.question(turn=self.event(ModelAnswered).turn + 1)

    # what can go wrong

    @on
    def spending_refused(self, refused: SpendingRefused) -> Effects[Abort]:
        yield Abort(f"{refused.by} did not approve {self.state.total}")

    @overdue(ask_approval)
    def nobody_approved(self, asked: AskApproval) -> Effects[Abort]:
        yield Abort(f"nobody approved {asked.total} in time")

    @overdue(ask_model)
    def model_silent(self, _: AskModel) -> Effects[Abort]:
        yield Abort("the model does not answer")

    @overdue(call_tool)
    def tool_silent(self, call: CallTool) -> Effects[Abort]:
        yield Abort(f"the tool {call.tool} does not answer")

    def question(self, turn: int) -> AskModel:
        answers = self.results(self.call_tool).values()  # by the calls' ids, whichever tool answered first
        known = tuple(f"{each.tool}: {each.result}" for each in answers)
        return AskModel(task_id=self.key, turn=turn, goal=self.event(TaskGiven).goal, known=known)

    def calls(self) -> Effects[CallTool]:
        for use in self.state.wanted:
            yield CallTool(task_id=self.key, call_id=use.id, tool=use.tool, argument=use.argument)
