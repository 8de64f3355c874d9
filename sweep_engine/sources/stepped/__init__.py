"""Runs that go step by step, filled into the lanes of a block: for `train` and `flow`."""
