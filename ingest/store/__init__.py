"""Stores chunks as points in Qdrant: on a server, in a folder or in memory.

Knows nothing of documents, models and chunking. Used from outside: ``store.QdrantStore``,
``stored_documents.StoredDocument``, ``requests.equal``, ``requests.named``,
``filters.qdrant_filter``.
"""
