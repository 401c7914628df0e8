"""Reads pages with DeepSeek-OCR on a vLLM server. Needs neither torch nor weights here."""
