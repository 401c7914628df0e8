"""Runs qdrant-edge in a folder, behind the methods of ``QdrantClient``."""
