"""Metrics that the core ships."""
