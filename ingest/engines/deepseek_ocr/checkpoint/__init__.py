"""Files of a model to a loaded network, checked first."""
