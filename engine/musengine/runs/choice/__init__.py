"""What is made of a folder of music: candidates, the time they take, and the one that is chosen."""
