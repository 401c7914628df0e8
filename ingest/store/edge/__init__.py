"""Qdrant's embedded engine behind the calls of its client."""
