"""The BentoML service, put together from its parts; the worker process that runs it, and how that ends."""
