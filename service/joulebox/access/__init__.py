"""Who asks, how much at once, and what is noted of it: for every protocol alike."""

from joulebox.access.access import Access, open_access

__all__ = ["Access", "open_access"]
