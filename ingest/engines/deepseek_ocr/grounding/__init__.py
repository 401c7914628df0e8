"""Converts the model's answers to blocks. Pure text processing; knows nothing of the model."""
