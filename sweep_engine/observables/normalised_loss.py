"""Training loss of outputs that are divided by a scale of their network."""

from jaxtyping import Array

from sweep_engine.columns import Column
from sweep_engine.observables.observable import Observable, Outcome
from sweep_engine.observables.scales import scale_of
from sweep_engine.spec.observables import NormalisedLoss
from sweep_engine.spec.scales import OutputScale

_MEANINGS: dict[OutputScale, str] = {
    "frobenius": "the product of the layers' Frobenius norms",
    "spectral": "the product of the layers' spectral norms",
    "path": "the path norm",
    "lipschitz": "their largest slope at a training input",
}


def normalised_loss(spec: NormalisedLoss) -> Observable:
    """Make the observable."""
    return Observable(
        columns=tuple(
            Column(f"train_loss_{scale}", "float32", "", "mean training loss of the outputs over "
                   f"{_MEANINGS[scale]}; NaN where that is 0")
            for scale in spec.by
        ),
        compute=lambda outcome: {
            f"train_loss_{scale}": _loss(outcome, scale) for scale in spec.by
        },
        needs=("labels", "dense") if "path" in spec.by else ("labels",),
    )  # fmt: skip


def _loss(outcome: Outcome, scale: OutputScale) -> Array:
    divisor = scale_of(scale, outcome.network, outcome.params, outcome.train_inputs)
    return outcome.loss.mean(outcome.train_outputs / divisor, outcome.train_targets)
