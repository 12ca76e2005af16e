"""Readers that the core ships."""
