"""MusicXML files as scores."""
