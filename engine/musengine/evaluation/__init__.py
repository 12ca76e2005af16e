"""Exact likelihoods of held-out music."""
