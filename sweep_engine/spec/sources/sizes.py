"""How many runs a shard holds at most: the unit of work, retry and file."""

RUNS_PER_SHARD = 2048
"""Trained runs, or kept draws: they are rows with parameters."""

DRAWS_PER_SHARD = 65_536
"""Draws where few are kept."""

CHAINS_PER_SHARD = 16
"""Chains that advance together in one block, whatever the number of their draws."""

TINY_PARAMS = 256
"""Bounds the parameters of a tiny network."""

VERY_MANY = 131_072
"""Counts the runs of one setting from which on shards of tiny networks are larger."""

_LEAST_SHARDS, _MOST_NETWORKS, _MOST_WORK = 32, 16_384, 2**25


def runs_per_tiny_shard(runs: int, work_per_run: int, networks: int = 1) -> int:
    """Count the runs of a shard of tiny networks: more than usual where there are very many.

    To open, write and commit a shard's files takes 10 ms of a processor, in which a kernel trains
    a thousand such networks. 32 shards are left to share out, and a shard ends within a minute
    also by XLA, at some 10^6 steps a second.

    Args:
        runs: Of the setting.
        work_per_run: Steps of one run, at most.
        networks: That are stored or observed of one run.

    Example:
        >>> [runs_per_tiny_shard(runs, 300) for runs in (100_000, 262_144, 1_000_000)]
        [2048, 8192, 16384]
        >>> runs_per_tiny_shard(1_000_000, 10_000), runs_per_tiny_shard(1_000_000, 300, networks=5)
        (2048, 2048)
    """
    if runs < VERY_MANY:
        return RUNS_PER_SHARD
    most = min(runs // _LEAST_SHARDS, _MOST_WORK // work_per_run, _MOST_NETWORKS // networks)
    return max(RUNS_PER_SHARD, 2 ** (most.bit_length() - 1))
