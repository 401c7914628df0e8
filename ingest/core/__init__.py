"""Records, options, errors and protocols: what every package speaks. Does no I/O."""
