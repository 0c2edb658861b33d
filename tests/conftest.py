"""How the properties are tested: without a verdict on time. With `--hypothesis-profile=ci`, as `scripts/check` runs them, on the same
examples on every machine; without, on new ones each time."""

from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tests")
