"""What comes back: alike bars, look-back, how much is copied and how much is quoted."""
