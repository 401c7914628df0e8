"""The same pages read by a vLLM server."""
