"""Reads pages with DeepSeek-OCR on a vLLM server."""
