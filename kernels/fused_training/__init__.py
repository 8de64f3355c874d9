"""Segments of training runs of multilayer perceptrons, many networks at once.

The plain twin and the kernels of CPUs and NVIDIA GPUs know convolutions before the dense layers
too; the plain twin and the CPU's know perceptrons with norms and residual connections.

`plain` says what a segment is, in plain JAX. `cpu` keeps a network in the processor's
cache for all of its steps, `cuda` in a block's shared memory, `tpu` a block of 128 in a TPU's
on-chip memory; neither of these two has run on its hardware yet.
`implementations` lists them. Which one trains is chosen in `execution.choosing`, where it
has to agree with XLA on the sweep's own data and to win a race.
"""
