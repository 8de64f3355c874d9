"""The mean loss of many networks and its gradient; leapfrog steps of Hamiltonian Monte Carlo.

`plain` says what they are, in plain JAX. `cpu` keeps a network in the processor's cache, by the
passes of `fused_training`, whose `Case` says which networks there are. `mapped` makes functions of
one network of either, which JAX maps over a block.
"""
