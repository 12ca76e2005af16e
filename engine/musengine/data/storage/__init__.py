"""What of a corpus is kept on disk: the cache of what was read, shards of what was encoded."""
