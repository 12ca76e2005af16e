"""Scores as written music: bars, voices, note values, spelling, and MusicXML of them."""
