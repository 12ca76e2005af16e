"""Scores and texts, tempo and meter maps, and pure functions on them."""
