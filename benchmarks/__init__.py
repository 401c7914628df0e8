"""Measurements: run each with ``python -m benchmarks.NAME``; figures are in ``results/``."""
