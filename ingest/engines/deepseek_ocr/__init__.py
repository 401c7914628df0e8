"""DeepSeek-OCR: page images to vision tokens, vision tokens and a prompt to text."""
