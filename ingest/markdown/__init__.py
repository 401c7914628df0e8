"""Renders blocks as Markdown and parses Markdown into blocks; records every block's offsets."""
