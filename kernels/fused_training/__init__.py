"""Segments of training runs of multilayer perceptrons, many networks at once.

`reference` says what a segment is, in plain JAX; `cpu` keeps a network in the processor's
cache for all of its steps.
"""
