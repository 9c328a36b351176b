"""The one Django app of the product."""

from django.apps import AppConfig


class MobilityConfig(AppConfig):
    """Rides, drivers, positions, sockets."""

    name = "mobility"
    verbose_name = "CareConnect Mobility"

    def ready(self) -> None:
        """Attach the system checks and the reactions to facts."""
        from mobility import checks, subscribers  # noqa: F401
