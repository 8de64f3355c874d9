"""Segments of training runs of multilayer perceptrons, many networks at once.

`reference` says what a segment is, in plain JAX. `cpu` keeps a network in the processor's
cache for all of its steps, `cuda` in a block's shared memory (not yet verified on a GPU).
`choice` says which of them trains a case on the device at hand, and why.
"""
