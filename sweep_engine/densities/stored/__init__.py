"""Stored results as estimates see them: which runs, paired with which, weighed how."""
