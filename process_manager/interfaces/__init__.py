"""What people and other programs touch. A few modules that all of it needs, and a package for each thing people come for:

- `bootstrap`: the one place that picks adapters. `address`: what `--store` names, `loading`: what `--app` names. `file_locks`: one process
  at a time. `client`: the public `Client`.
- `publishing/`: events from outside into a store.
- `reading/`: what a log says about instances, deadlines and cases, without changing it.
- `operating/`: what an operator does to instances and parked records.
- `compatibility/`: whether an app fits what a log holds, before it is deployed.
- `transfer/`: histories out of a log as a file, and back into a log of their own.
- `monitoring/`: what a running worker tells about itself.
- `cli/`: the `pm` command: options, output, exit codes. A command parses and prints; what it does stands in a package above.
- `devserver/`: EventStoreDB's protocol over a SQLite file. `html_report/`: the report as one page.

Nothing else here imports `cli`.
"""
