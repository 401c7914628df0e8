"""Pages to blocks."""
