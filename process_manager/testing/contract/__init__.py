"""The parts of the store contract; use `process_manager.testing.store_contract`."""

import pytest

for part in ("appending", "groups", "reading", "sharing", "support"):
    pytest.register_assert_rewrite(f"{__name__}.{part}")  # so that a failed assertion shows its values, as in a test
