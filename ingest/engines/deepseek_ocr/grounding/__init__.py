"""Converts the model's markup to blocks."""
