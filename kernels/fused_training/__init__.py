"""Segments of training runs of multilayer perceptrons, many networks at once.

`plain` says what a segment is, in plain JAX. `cpu` keeps a network in the processor's
cache for all of its steps, `cuda` in a block's shared memory (not yet verified on a GPU).
`implementations` lists them. Which one trains is chosen in `execution.choosing`, where it
has to agree with XLA on the sweep's own data and to win a race.
"""
