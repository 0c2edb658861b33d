"""Examples that are shipped, tested, and meant to be read. Each is a package with an `app`."""
