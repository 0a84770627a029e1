"""What Prometheus scrapes."""

from joulebox.metrics.buffered import Buffered
from joulebox.metrics.identity import forget_gauges, identify
from joulebox.metrics.metrics import Metrics, observe_many

__all__ = ["Buffered", "Metrics", "forget_gauges", "identify", "observe_many"]
