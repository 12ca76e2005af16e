"""Figures that describe pieces by themselves, and how far two sets of pieces lie apart in them."""
