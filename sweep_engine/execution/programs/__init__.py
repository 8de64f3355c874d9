"""The programs of a plan's buckets: which implementation computes them, and what they cost."""
