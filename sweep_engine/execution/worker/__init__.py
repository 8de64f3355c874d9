"""The worker: on its device, it does the work of a shard and commits its files."""
