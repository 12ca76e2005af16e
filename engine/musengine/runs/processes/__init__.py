"""A run that several processes work on together."""
