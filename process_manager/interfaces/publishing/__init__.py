"""Events from outside into a store: `event_lines` reads lines of a file, `publisher` appends, `feeder` does so at each event's own time."""
