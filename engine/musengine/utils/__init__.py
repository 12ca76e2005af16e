"""Files, processes, signals and messages: what every package may use."""
