"""Event-sourced process managers on an event store."""
