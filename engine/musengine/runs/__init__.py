"""A run from its beginning to its end, and the folder it leaves."""
