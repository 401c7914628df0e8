"""Pages to chunks: what belongs together, where to cut, what shares a chunk."""
