"""DeepSeek-OCR: encodes pages into vision tokens, and decodes those into text."""
