"""Page images to vision tokens."""
