"""How the properties are tested: without a verdict on time. With `--hypothesis-profile=ci`, as `scripts/check` runs them, on the same
examples on every machine; without, on new ones each time."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Without the constants of our modules that are loaded, which Hypothesis draws: they depend on what a process has tested before."""
    if config.getoption("--hypothesis-profile") == "ci":
        pytest.MonkeyPatch().setattr("hypothesis.internal.conjecture.providers.is_local_module_file", lambda _path: False)
