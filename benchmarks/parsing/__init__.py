"""Measures parsing: time per page, and files made to break parsers."""
