"""Encoders that the core ships."""
