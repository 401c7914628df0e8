"""Measurements. Run one with ``python -m benchmarks.GROUP.NAME``; results are in ``results/``."""
