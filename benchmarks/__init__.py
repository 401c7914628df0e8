"""Measurements: run each with ``python -m benchmarks.GROUP.NAME``; figures are in ``results/``."""
