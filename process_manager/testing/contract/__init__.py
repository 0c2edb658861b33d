"""The parts of the store contract; use `process_manager.testing.store_contract`."""
