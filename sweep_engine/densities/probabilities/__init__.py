"""Probabilities from counts of draws, and from repetitions."""
