"""Two laws over functions, from counts per function."""
