"""Judges whether the text of a page can be trusted."""
