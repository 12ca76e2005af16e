"""ABC notation, by the standard 2.1: books of tunes as scores and as texts."""
