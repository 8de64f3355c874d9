"""Figures: what is drawn of a stored sweep."""
