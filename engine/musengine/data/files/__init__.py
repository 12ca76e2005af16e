"""The files of a corpus, one by one: found, read in worker processes, known from the cache."""
