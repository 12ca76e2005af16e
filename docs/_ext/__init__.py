"""Passages of the documentation that are made from the code, as plain Markdown."""
