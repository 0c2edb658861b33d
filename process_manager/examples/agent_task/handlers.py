"""The command handlers: a model that follows a script, and tools that know a few things. A real model goes in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from process_manager import handles
from process_manager.examples.agent_task.messages import AskModel, CallTool, ModelAnswered, ToolAnswered, ToolUse

KNOWN = {
    ("weather", "Turin"): "rain until the evening",
    ("trains", "Turin"): "every hour, two hours from Milan",
    ("archive", "Turin 1706"): "the siege was lifted on 7 September 1706",
}


@dataclass(frozen=True)
class ScriptedModel:
    """Wants the tools that its script names for the goal, and in the next turn sums up what they said."""

    script: Mapping[str, tuple[tuple[str, str, str], ...]] = field(
        default_factory=lambda: {
            "plan a day in Turin": (("weather", "Turin", "0.02"), ("trains", "Turin", "0.03")),
            "when was the siege of Turin lifted": (("archive", "Turin 1706", "4.00"), ("weather", "Turin 1706", "0.02")),
        }
    )

    def think(self, command: AskModel) -> ModelAnswered:
        if command.known:
            return ModelAnswered(
                task_id=command.task_id, turn=command.turn, thought="that is enough", answer="; ".join(sorted(command.known))
            )
        uses = enumerate(self.script[command.goal], 1)
        tools = tuple(ToolUse(id=f"{command.turn}.{at}", tool=tool, argument=of, cost=Decimal(cost)) for at, (tool, of, cost) in uses)
        return ModelAnswered(task_id=command.task_id, turn=command.turn, thought=f"I need {len(tools)} tools", tools=tools)


@handles(AskModel)
def ask_model(command: AskModel, model: ScriptedModel) -> ModelAnswered:
    return model.think(command)


@handles(CallTool)
def call_tool(command: CallTool) -> ToolAnswered:
    found = KNOWN.get((command.tool, command.argument), f"failed, nothing is known of {command.argument}")
    return ToolAnswered(task_id=command.task_id, call_id=command.call_id, tool=command.tool, result=found)
