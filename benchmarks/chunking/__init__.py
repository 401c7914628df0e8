"""Compares chunkers by the structure that their chunks preserve."""
