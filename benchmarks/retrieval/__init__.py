"""Search: whether the right page is found, and how fast."""
