"""A run's new pieces: what they go on from, how they are made, written and noted."""
