"""`flow`: from a start, along the negative gradient in continuous time."""
