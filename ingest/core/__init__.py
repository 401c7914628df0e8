"""Records, options, errors and protocols that all packages share. Does no I/O."""
