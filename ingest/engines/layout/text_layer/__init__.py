"""The words of a page's text layer: which are seen, and which characters they mean."""
