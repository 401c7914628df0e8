"""Measures vision tokens: decoding speed, exactness and storage."""
