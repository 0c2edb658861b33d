"""What follows from a new state without another input: joins are decided, a compensation goes on."""

from process_manager.core import answers, compensation, facts
from process_manager.core.definition import join_of
from process_manager.core.draft import Draft
from process_manager.core.instance import Run
from process_manager.core.joins import decided, evaluate, may_help
from process_manager.core.steps import Join
from process_manager.errors import ReactionError


def settle(draft: Draft) -> None:
    """Decide joins until none moves, undo what an end found not needed, take a compensation as far as it can go."""
    while draft.state.status == "running" and _decide_a_join(draft):
        pass
    if draft.state.status == "completed":
        compensation.undo_surplus(draft)
    compensation.advance(draft)


def _decide_a_join(draft: Draft) -> bool:
    for reaction in draft.definition.joins:
        join = join_of(reaction)
        if decided(draft.state, reaction):
            continue
        reached = evaluate(draft.definition, draft.state, join, draft.now)
        if reached is None:
            continue
        runs = [run for step in join.steps for run in draft.state.runs_of(step.name) if not run.undoes]
        _let_go(draft, join.name, reached, _surplus(draft, join.name, runs))
        if reached:
            draft.react(reaction)
        else:
            _unreachable(draft, join, runs)
        return True
    return False


def _surplus(draft: Draft, join: str, runs: list[Run]) -> list[Run]:
    """The runs that are not done and that no other undecided join waits for; what failed may be done late all the same."""
    undecided = [join_of(other) for other in draft.definition.joins if not decided(draft.state, other)]
    waited = {step.name for other in undecided if other.name != join for step in other.steps}
    return [run for run in runs if run.status != "done" and run.step not in waited]


def _let_go(draft: Draft, join: str, reached: bool, surplus: list[Run]) -> None:  # noqa: FBT001  a fact's field
    draft.record(facts.JoinDecided(join=join, reached=reached, outstanding=[run.operation for run in surplus]))
    for run in surplus if reached else ():
        compensation.after_overdue(draft, run)


def _unreachable(draft: Draft, join: Join, runs: list[Run]) -> None:
    """What follows from the run that was lost last, of those from which nothing has followed yet; without any, and where nothing is under
    way that leads on, what the step says."""
    lost = [run for run in runs if run.status in {"failed", "overdue"}]
    silent = [run for run in lost if not may_help(draft.definition, run, join)]
    if silent:
        answers.consequence(draft, max(silent, key=lambda run: run.settled).operation)
        return
    if lost and _leads_on(draft):
        return
    otherwise = next((step.otherwise for step in join.steps if step.otherwise is not None), None)
    if otherwise is None:
        raise ReactionError(
            f"{join.name} can never be reached: only {len(runs)} runs were started; say what follows by otherwise= of a step"
        )
    draft.follow(otherwise)


def _leads_on(draft: Draft) -> bool:
    """Whether the instance waits for an answer that something follows from, or for a deadline of its class."""
    waits = any(run.is_open and run.fate == "react" and run.life == draft.state.life for run in draft.state.runs.values())
    return waits or any(timer.due is not None for name, timer in draft.state.timers.items() if name in draft.definition.deadlines)
