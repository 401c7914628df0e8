"""Checks and repairs of a store: verify, clean, delete."""
