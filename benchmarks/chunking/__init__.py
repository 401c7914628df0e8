"""Chunkers beside each other: what their pieces keep."""
