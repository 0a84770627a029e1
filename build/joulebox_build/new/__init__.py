"""`joulebox new`: a recipe for somebody's own data."""
