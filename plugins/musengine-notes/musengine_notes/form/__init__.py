"""What comes back: bars that are alike, look-back, and how much is copied."""
