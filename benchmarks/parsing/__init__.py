"""Pages to Markdown: time, and files made to break readers."""
