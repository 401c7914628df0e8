"""The model's markup to blocks."""
