"""`posterior`: Markov chains on exp(-losses / temperature) times a law."""
