"""Segments of training runs of multilayer perceptrons, many networks at once.

The CPU's kernel and the plain twin know convolutions before the dense layers too, and
perceptrons with norms and residual connections.

`plain` says what a segment is, in plain JAX. `cpu` keeps a network in the processor's
cache for all of its steps, `cuda` in a block's shared memory, `tpu` a block of 128 in a TPU's
on-chip memory; neither of these two has run on its hardware yet.
`implementations` lists them. Which one trains is chosen in `execution.choosing`, where it
has to agree with XLA on the sweep's own data and to win a race.
"""
