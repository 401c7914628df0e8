"""Choice of device and dtypes, free memory, and copies between host and device."""
