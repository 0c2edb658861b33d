"""Whether an app fits what a log holds: its instances, its events, and the decisions that were recorded (`drift`). Nothing is written."""
