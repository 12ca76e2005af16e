"""Models that the core ships."""
