"""Chunks to points: payload, vectors, writes."""
