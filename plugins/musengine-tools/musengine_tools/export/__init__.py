"""A trained model as an installable distribution, made from a run."""
