"""Components from one function each, where others are a class."""
