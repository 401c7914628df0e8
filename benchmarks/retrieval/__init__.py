"""Measures search: whether it finds the right page, and how fast."""
