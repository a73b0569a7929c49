"""Unit tests run beside JVMs on two cores: Hypothesis may not judge them by the clock."""

from hypothesis import HealthCheck, settings

settings.register_profile("ventes", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ventes")
