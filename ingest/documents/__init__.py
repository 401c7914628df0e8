"""Files to opened documents and drawn pages: the edge to PyMuPDF."""
