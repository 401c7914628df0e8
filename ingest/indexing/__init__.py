"""Chunks to points: payloads, dense and sparse vectors. Knows no store."""
