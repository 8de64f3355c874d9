"""How many runs a shard holds at most: the unit of work, retry and file."""

RUNS_PER_SHARD = 2048
"""Trained runs, or kept draws: they are rows with parameters."""

DRAWS_PER_SHARD = 65_536
"""Draws where few are kept."""

CHAINS_PER_SHARD = 16
"""Chains that advance together in one block, whatever the number of their draws."""
