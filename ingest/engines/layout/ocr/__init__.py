"""Reads pictures of text with RapidOCR."""
