"""Whether a reading can be believed."""
