"""`train`: from a start, an optimiser until a stopping rule holds."""
