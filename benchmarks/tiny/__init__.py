"""Trains a DeepSeek-OCR small enough to ship: its pages, its training, its evaluation."""
