"""A pipeline file: its sections, their resolution, and whether the components fit."""
