"""What Prometheus scrapes."""

from joulebox.metrics.metrics import Metrics, observe_many

__all__ = ["Metrics", "observe_many"]
