"""PyMuPDF's layout model: finds the regions of a page from its text and its picture."""
