"""Typed settings: TOML tables to frozen dataclasses, all problems at once."""
