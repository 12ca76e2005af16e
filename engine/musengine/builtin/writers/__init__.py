"""Writers that the core ships."""
