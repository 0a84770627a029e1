"""What Prometheus scrapes."""

from joulebox.metrics.identity import forget_gauges, identify
from joulebox.metrics.metrics import Metrics, observe_many

__all__ = ["Metrics", "forget_gauges", "identify", "observe_many"]
