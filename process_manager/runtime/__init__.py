"""The order of effects: load, decide, append, acknowledge. No SQL and no gRPC here.

- What a user hands over: `app`, `handlers` (`@handles`, `Call`), `repository`.
- The worker: `worker` takes its roles in turn, `wiring` builds it, `groups` and `owners` set up a store for it, `counters` say what it did.
- Inputs to instances: `turns`, with `router`, `work`, `instances`, `awaiting`.
- Commands to handlers: `inbox` holds them; `handler_runner` with `unit_of_work` edits aggregates, `call_runner` calls the outside world.
- Time: `deadlines` fires them, `time_driver` moves a driven clock.
- What delivery gets wrong: `suspects`, `left_to_newer`, `reconcile`, `missed_commands` with `left_out`, `swept`.
"""
