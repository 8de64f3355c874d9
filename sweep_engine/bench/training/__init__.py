"""The fair comparison: the same training, done in every way that one would think of."""
