"""Two laws of any number of columns, from independent points."""
