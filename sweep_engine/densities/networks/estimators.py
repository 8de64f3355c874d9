"""Define the estimators that look at networks themselves, and what they say.

How they look stands in `pairs` and `ensemble`, which import JAX where they are first asked.
"""

from sweep_engine.densities.estimator import Estimator, Reading, Takes
from sweep_engine.densities.networks.quantities import OF_ENSEMBLES, OF_PAIRS, SIZE
from sweep_engine.densities.stored.sides import Side
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import IncomparableSources

MIN_ENSEMBLES = 4


class Pairs(Estimator[Side]):
    """Estimates means over pairs of independent networks: agreement, barriers, distances, CKA.

    At most 64 networks of each side are drawn at random, each in a few pairs. The standard error
    is the jackknife's over networks, or over whole units where runs depend on one another: pairs
    that share a network are no independent draws. Networks of one unit make no pair.

    Source:
        Hoeffding (1948), Ann. Math. Statist. 19(3); Blom (1976), Biometrika 63(3) (few pairs of
        many networks have nearly the variance of all pairs).
    """

    name = "pairs"
    takes = Takes.SIDES
    trust = Trust(name, 8)
    seconds = 1.0
    quantities = OF_PAIRS

    def look(self, source: Side, reference: Side, seed: int) -> Reading:
        """Draw networks, pair them and compute every number of each pair.

        Raises:
            IncomparableSources: the two sides have other probe inputs.
        """
        from sweep_engine.densities.networks import pairs

        return pairs.look(source, reference, seed, self.trust)


class Ensemble(Estimator[Side]):
    """Estimates what the mean of 5 networks' probabilities is worth, and where they differ.

    The mutual information of label and network is the entropy of the mean of their probabilities
    less the mean of their entropies, at most ln 5 nats: 0 where all say the same, however unsure
    they are. Means are over up to 24 ensembles that share no network, which are independent draws
    whatever the score: t intervals. Of runs that depend on one another each unit gives one.

    Source:
        Lakshminarayanan, Pritzel & Blundell (2017), NeurIPS (deep ensembles); Depeweg et al.
        (2018), ICML, section 3 (the entropy split).
    """

    name = "ensemble"
    takes = Takes.SIDES
    trust = Trust(name, SIZE * MIN_ENSEMBLES)
    seconds = 1.0
    quantities = OF_ENSEMBLES

    def look(self, source: Side, reference: Side, seed: int) -> Reading:
        """Draw networks and compute what they say of every set of inputs.

        Raises:
            IncomparableSources: there are two sources, or outputs say no probabilities.
        """
        from sweep_engine.densities.networks import ensemble

        if reference != source:
            raise IncomparableSources("ensemble is of one source: leave the reference out")
        return ensemble.look(source, seed, self.trust)
