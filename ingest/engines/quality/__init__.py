"""Judges whether the text of a page can be trusted. Used by all engines; knows none of them."""
