"""Chord progressions by a Markov chain: a musengine plugin."""

from __future__ import annotations
