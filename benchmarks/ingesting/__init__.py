"""Measures whole ingest runs: throughput and memory."""
