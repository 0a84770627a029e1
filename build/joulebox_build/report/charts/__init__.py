"""Charts as inline SVG: pure functions from figures to an element that takes its colours from the page around it.

Each is about 360 units wide, so that its text is as large on a phone as beside another chart on a desk. Colours are CSS
classes: `c0`, `c1`, … for series, `heat` for shades, and the page says what they are in light, dark and print.
"""
