"""LlamaIndex adapters: reader, node parser, vector store, events."""
