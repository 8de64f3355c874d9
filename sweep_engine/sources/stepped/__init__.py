"""What `train` and `flow` share: runs that go step by step, filled into the lanes of a block."""
