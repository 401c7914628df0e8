"""Points in Qdrant, on a server or in a folder."""
