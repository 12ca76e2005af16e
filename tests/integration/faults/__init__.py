"""Faults planted in plugins, and what is said of each."""
