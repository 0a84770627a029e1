"""What Prometheus scrapes."""

from joulebox.metrics.buffered import Buffered
from joulebox.metrics.metrics import Metrics, observe_many

__all__ = ["Buffered", "Metrics", "observe_many"]
