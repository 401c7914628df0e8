"""A DeepSeek-OCR small enough to ship: pages drawn for it, its training, its measurements."""
