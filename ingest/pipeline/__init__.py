"""An ingest run: what is left to do, in order, and the record of it."""
