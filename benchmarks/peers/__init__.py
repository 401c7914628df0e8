"""Chunkers of other projects, each run in a process and an environment of its own."""
