"""`splitting`: a law conditioned on a rare event, fitting, climbed level by level.

A population of particles climbs the acceptance level: the worst are killed, the others cloned
in their place, and all are moved by a Markov move that leaves the law given the level reached
unchanged. ln P(fit) is the sum of ln of the surviving shares.
"""
