"""Whole ingests: throughput and memory."""
