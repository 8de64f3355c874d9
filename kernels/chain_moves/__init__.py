"""Move chains: gradients of losses, leapfrog steps, transitions of the no-U-turn sampler.

`plain` says what they are, in plain JAX and by blackjax. `cpu` keeps a network in the processor's
cache, by the passes of `fused_training`, whose `Case` says which networks there are. `mapped` makes
functions of one chain of either, which JAX maps over a block.
"""
