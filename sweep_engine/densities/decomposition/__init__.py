"""The KL decomposition: what the data explain, and what the optimiser adds, in nats."""
