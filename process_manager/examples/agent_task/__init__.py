"""An AI agent's task: model calls, tool calls in parallel, a person's approval with a deadline, a spending limit as a decision.

Read `process` first. `handlers` holds a scripted model and a few tools; a real model takes their place.
"""

from process_manager import App
from process_manager.examples.agent_task.handlers import ScriptedModel, ask_model, call_tool
from process_manager.examples.agent_task.process import AgentTask

app = App(name="agent_task", processes=[AgentTask], handlers=[ask_model, call_tool], resources=[ScriptedModel()])
