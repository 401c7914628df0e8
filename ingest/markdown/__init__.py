"""Blocks to Markdown and Markdown to blocks, with every offset kept."""
