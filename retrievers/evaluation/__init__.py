"""Measures a search on questions whose answers' pages are known."""
