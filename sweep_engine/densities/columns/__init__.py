"""Two laws of one column, or of a pair of them."""
