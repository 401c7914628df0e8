"""The ingest run: plans files, has an engine read their pages, writes points, keeps a journal."""
