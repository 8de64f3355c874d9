"""Name what is estimated of pairs and of ensembles of networks, with its words."""

from sweep_engine.densities.estimator import Quantity, Table

AGREEMENT = Quantity(
    "pair_agreement",
    "The share of probe inputs on which two networks give one label.".format,
    Table.HEADLINES,
)
BARRIER = Quantity(
    "pair_barrier",
    "How far the training loss rises on the straight way from one network to another.".format,
)
BARRIER_MATCHED = Quantity(
    "pair_barrier_matched",
    "The same after the units of one are matched to those of the other, by a heuristic.".format,
)
DISTANCE = Quantity("pair_distance", "How far two networks' parameters are apart.".format)
DISTANCE_MATCHED = Quantity(
    "pair_distance_matched",
    "The same, permutations and signs of units divided out: at most so far.".format,
)
CKA = Quantity(
    "pair_cka",
    "How alike two networks' last hidden layers are (1: the same up to rotation).".format,
)

OF_PAIRS = (AGREEMENT, BARRIER, BARRIER_MATCHED, DISTANCE, DISTANCE_MATCHED, CKA)

SIZE = 5
"""Networks of an ensemble, as is usual."""

FAR_FACTOR = 10.0
SETS = {
    "test": "the test set",
    "ood": "the task's second set",
    "far": f"the test inputs times {FAR_FACTOR:g}, labels kept",
}
SCORES = {
    "accuracy": "share of right labels, by the mean of the networks' probabilities",
    "log_loss": "mean of -ln p of the right label, p the mean over the networks",
    "gain": "a single network's log loss less the ensemble's",
    "disagreement": "share of inputs that two networks give different labels",
    "mutual_information": "entropy of the networks' mean less their mean entropy: 0 where alike",
    "detection": "chance that networks differ more there than on a test input: 1/2 tells nothing",
}


def _quantity(where: str, score: str, words: str) -> Quantity:
    table = Table.HEADLINES if score == "mutual_information" else Table.OTHERS
    return Quantity(f"ensemble_{where}_{score}", f"On {SETS[where]}: {words}.".format, table)


OF_ENSEMBLES = tuple(
    _quantity(where, score, words)
    for where in SETS
    for score, words in SCORES.items()
    if (where, score) != ("test", "detection")
)
