"""Vision tokens and their decoding: speed, exactness, storage."""
