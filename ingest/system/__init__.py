"""Processes, SQLite and files; knows no documents."""
