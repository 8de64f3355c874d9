"""The page: what it holds, and its HTML."""
