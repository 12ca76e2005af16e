"""Whether what components return is what the engine asked for."""
