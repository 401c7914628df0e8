"""Worker processes, SQLite and files; independent of documents."""
