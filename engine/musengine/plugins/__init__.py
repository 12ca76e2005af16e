"""What plugins declare, the hooks, the tolerant loader and the registry."""
