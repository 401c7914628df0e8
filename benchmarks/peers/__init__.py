"""Runs the chunkers of other projects, each in its own process and virtual environment."""
