"""The work of `convert` and `inspect`."""
