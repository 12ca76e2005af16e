"""From sources of music to batches: discovery, reading, cache, splits, encoding."""
