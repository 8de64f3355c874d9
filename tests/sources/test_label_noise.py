"""Noise on the targets of a step: its law, and where it is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine.sources.train.label_noise import check_label_noise, noisy
from sweep_engine.spec.sources import Train
from sweep_engine.spec.sources.train import LabelNoise
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy, squared

COUNT = 30_000


def test_every_other_label_is_equally_likely():
    """Of 30,000 labels, a standard error of 0.0026 or less."""
    targets = jnp.full(COUNT, 2, jnp.int32)
    found = noisy(LabelNoise(share=0.3), cross_entropy(4), targets, jax.random.key(0))
    assert found.dtype == targets.dtype
    shares = np.bincount(np.asarray(found), minlength=4) / COUNT
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.7, 0.1], atol=5 * 0.0027)


@pytest.mark.parametrize("shape", [(COUNT,), (COUNT // 2, 2)])
def test_noise_on_values_has_the_deviation_that_is_stated(shape):
    loss, targets = (SQUARED if len(shape) == 1 else squared(2)), jnp.full(shape, 5.0)
    found = np.asarray(noisy(LabelNoise(std=0.5), loss, targets, jax.random.key(0))) - 5
    assert abs(found.mean()) < 5 * 0.5 / COUNT**0.5
    assert abs(found.std() / 0.5 - 1) < 5 / (2 * COUNT) ** 0.5
    assert abs(np.corrcoef(found.ravel()[::2], found.ravel()[1::2])[0, 1]) < 5 / (COUNT / 2) ** 0.5


@pytest.mark.parametrize(
    ("noise", "loss", "message"),
    [
        ({"share": 0.1}, SQUARED, "targets are values: give std, not share"),
        ({"std": 0.1}, LOGISTIC, "targets are labels: give share, not std"),
    ],
)
def test_noise_of_the_other_kind_of_targets_is_refused(noise, loss, message):
    with pytest.raises(ValueError, match=message):
        check_label_noise(LabelNoise(**noise), loss)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label_noise": {}}, "either `share`, of labels, or `std`, of values"),
        ({"label_noise": {"share": 0.1, "std": 0.1}}, "either `share`"),
        (
            {"label_noise": {"share": 0.1}, "optimizer": {"kind": "random_search"}},
            "random_search compares losses, which the noise would decide",
        ),
    ],
)
def test_noise_that_means_nothing_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Train(runs=1, **fields)
