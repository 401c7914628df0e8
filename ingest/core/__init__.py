"""Records, configs, errors and protocols that all packages share. Does no I/O."""
