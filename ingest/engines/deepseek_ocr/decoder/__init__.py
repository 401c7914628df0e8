"""Vision tokens and a prompt to text."""
