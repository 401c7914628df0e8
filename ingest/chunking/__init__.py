"""Turns pages of Markdown into chunks. Knows nothing of PDFs, models or stores."""
