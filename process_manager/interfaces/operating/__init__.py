"""What an operator does: actions on instances (`actions`), and dropping parked records (`parked`). Each leaves a record of who and why."""
