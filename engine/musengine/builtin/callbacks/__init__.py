"""Callbacks that the core ships."""
