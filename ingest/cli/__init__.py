"""The opticalrag command."""
