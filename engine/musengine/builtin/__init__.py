"""The components that the core ships."""
