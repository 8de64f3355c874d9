"""The benchmark: what this machine can do, measured in one go and written down."""
