"""Cells that two laws share: counts in them, and divergences over them."""
