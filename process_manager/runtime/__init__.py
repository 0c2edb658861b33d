"""The order of effects: load, decide, append, acknowledge. No SQL and no gRPC here."""
