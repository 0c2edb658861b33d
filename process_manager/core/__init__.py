"""The pure core: no I/O, no clock, no randomness, no logging. Where to look:

- What a user writes: `messages`, `process`, `steps`, `reactions`, `effects`, `retry`, `routing`, `evolve`, `saga`, `aggregate`.
- What the class is read into: `definition`, checked by `checks`; drawn by `graph` and `diagram`.
- What an instance records: `facts`, `fold`, `instance`, `snapshot`; as bytes: `records`, `metadata`, `codec`, `identity`, `block`.
- How one input becomes one block: `turn`, by way of `draft`; `classify` says what an event means, then `answers`, `joins`, `settling`,
  `compensation`, `deadlines`, `operator` say what follows. `inputs` and `signals` are what comes in.
- What people are told: `story`, `replay`, `history`, `explain`, `outlook`, `view`, `flow`, `readable`.
- What is compared and hidden: `drift` with `consequences`, `misfits`, `masking`.
"""
