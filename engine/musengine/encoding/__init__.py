"""The layouts of arrays, and scores as piano-rolls."""
