"""Finds files, opens them with PyMuPDF, and renders and hashes their pages."""
