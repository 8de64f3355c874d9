"""What is fixed when a training kernel is built, and the arrays that it is given."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Literal, NamedTuple

from jaxtyping import Array, Float, Int

from sweep_engine.kernels.fused_training.convolution import Convolution, Layer, sizes

RUNNING, FIT, LOSS_REACHED, MAX_STEPS, DIVERGED = range(5)
"""How a run stands; the numbers of `sweep_engine.solutions.RunStatus`."""


@dataclass(frozen=True)
class Case:
    """Fix the static part of a training run: a multilayer perceptron or a convolutional network.

    A perceptron may have norms, and residual connections: h_0 = U_0 x,
    h_b = h_{b-1} + W_b phi(U_b n(h_{b-1})), f = V n(h_B). Its dense layers are then
    U_0, U_1, W_1, ..., U_B, W_B, V, all hidden ones of one width.

    Attributes:
        widths: D, the widths of hidden dense layers, C.
        activation: Between the layers; `gelu` is the tanh approximation.
        bias: Whether layers have biases.
        loss: A mean over examples: `logistic` ln(1 + e^-sf) with s = 2y - 1 and `cross_entropy`
            of integer targets; half the squared error to real targets (`squared`), or to -1
            and 1 of targets 0 and 1 (`squared_labels`).
        optimizer: `sgd` is heavy-ball momentum (0 is plain SGD); AdamW is `adam` with decay.
        num_examples: N.
        minibatch: B, or None for the full batch.
        convolutions: Before the dense layers; each is followed by the activation and pooling.
        image: Where there are any: the sides of an input and its channels, D in all.
        norm: n, over units: without residual connections, behind each hidden layer and before
            its activation.
        residual: Whether there are blocks, each added to what it was given.
    """

    widths: tuple[int, ...]
    activation: Literal["relu", "tanh", "gelu", "linear"] = "relu"
    bias: bool = True
    loss: Literal["logistic", "cross_entropy", "squared", "squared_labels"] = "logistic"
    optimizer: Literal["sgd", "nesterov", "adam"] = "sgd"
    num_examples: int = 1
    minibatch: int | None = None
    convolutions: tuple[Convolution, ...] = ()
    image: tuple[int, ...] = ()
    norm: Literal["layer", "rms"] | None = None
    residual: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1 or self.num_examples < 1:
            raise ValueError(f"expected widths D, ..., C of at least 1 and examples, got {self}")
        if (self.loss == "cross_entropy") != (self.widths[-1] > 1):
            raise ValueError(
                f"expected outputs C > 1 for cross_entropy alone, got {self.loss} of "
                f"{self.widths[-1]}"
            )
        if self.minibatch is not None and self.minibatch < 1:
            raise ValueError(f"expected a minibatch of at least 1, got {self.minibatch}")
        if self.convolutions and prod(self.image) != self.widths[0]:
            raise ValueError(f"expected images of {self.widths[0]} numbers, got {self.image}")
        if self.convolutions and (self.norm or self.residual):
            raise ValueError(f"expected no norms or blocks behind convolutions, got {self}")
        hidden = self.widths[1:-1]
        if self.residual and (len(hidden) < 3 or len(hidden) % 2 == 0 or len(set(hidden)) > 1):
            raise ValueError(f"expected 2 B + 1 hidden layers of one width, got {self.widths}")
        _ = self.layers  # there may be no room for the windows

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """List the sizes of all layers, the input side first."""
        convolved, features = sizes(self.convolutions, self.image or self.widths[:1])
        dense = pairwise((features, *self.widths[1:]))
        return (*convolved, *(Layer(n, m) for n, m in dense))

    @property
    def norms(self) -> tuple[int, ...]:
        """List the units of every norm, the input side first."""
        hidden = self.widths[1:-1]
        return (hidden[::2] if self.residual else hidden) if self.norm else ()

    @property
    def num_params(self) -> int:
        """Return P, the length of theta: by layer, weights (in, out) row-major before biases.

        Of a convolution `in` are the places of its window, row-major, and their channels. Behind
        all layers stand the norms: gains less 1, then biases where the norm is `layer`.
        """
        of_layers = sum((layer.fan_in + self.bias) * layer.channels for layer in self.layers)
        return of_layers + (2 if self.norm == "layer" else 1) * sum(self.norms)

    @property
    def num_moments(self) -> int:
        """Numbers that the optimiser carries for every parameter."""
        return 2 if self.optimizer == "adam" else 1

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations of the matrix products of one step of one network."""
        products = [prod(layer) for layer in self.layers]
        return 2 * (self.minibatch or self.num_examples) * (3 * sum(products) - products[0])


@dataclass(frozen=True)
class Checks:
    """When the rule is checked, and what it is.

    Attributes:
        every: Steps between checks, of which the first is at step 0.
        rule: What `Limits.fit` bounds from above: the share of wrong labels, or the mean loss.
        stop_at_fit: Whether a run ends when the rule holds.
    """

    every: int
    rule: Literal["train_error", "train_loss"] = "train_error"
    stop_at_fit: bool = True


class Sgd(NamedTuple):
    """Hyperparameters of SGD, one of each a network."""

    learning_rate: Float[Array, " R"]
    momentum: Float[Array, " R"]
    l2: Float[Array, " R"]
    weight_decay: Float[Array, " R"]


class Adam(NamedTuple):
    """Hyperparameters of Adam, one of each a network."""

    learning_rate: Float[Array, " R"]
    b1: Float[Array, " R"]
    b2: Float[Array, " R"]
    eps: Float[Array, " R"]
    l2: Float[Array, " R"]
    weight_decay: Float[Array, " R"]


class Limits(NamedTuple):
    """Where runs end.

    Attributes:
        max_steps: Steps at most.
        fit: The rule holds at this share of wrong labels, or this mean loss, or below.
        loss: A run ends at this mean loss or below; -inf for none.
    """

    max_steps: Int[Array, " R"]
    fit: Float[Array, " R"]
    loss: Float[Array, " R"]


class KernelState(NamedTuple):
    """What is carried from segment to segment, one of each a network.

    Attributes:
        theta: The parameters.
        moments: SGD's momentum; Adam's first and second moments, one after the other.
        step: Steps taken.
        status: RUNNING, or how the run ended; then nothing changes any more.
        fit_step: First checked step at which the rule held; -1 before.
        fit: Whether it held at the last check: 0 or 1.
        loss: Training loss at the last check.
        error: Training error at the last check; NaN without labels.
    """

    theta: Float[Array, "R P"]
    moments: Float[Array, "R M"]
    step: Int[Array, " R"]
    status: Int[Array, " R"]
    fit_step: Int[Array, " R"]
    fit: Int[Array, " R"]
    loss: Float[Array, " R"]
    error: Float[Array, " R"]


class Data(NamedTuple):
    """The training examples; targets are integers but for the loss `squared`."""

    x: Float[Array, "N D"]
    y: Array


class Segment(NamedTuple):
    """What one call is to do.

    Attributes:
        num_turns: Of each network. A turn is a check where one is due, then a step if the run
            goes on; so a run that ends at step s needs s + 1 turns.
        indices: The examples of the minibatch of each turn; of shape (R, 0, 0) at full batch.
    """

    num_turns: Int[Array, " R"]
    indices: Int[Array, "R T B"]


def check_segment(case: Case, segment: Segment) -> None:
    """Raise ValueError unless the minibatches have the shape that the case says."""
    width = segment.indices.shape[2]
    if width != (case.minibatch or 0):
        raise ValueError(
            f"expected minibatches of {case.minibatch or 0} examples, got indices of shape "
            f"{segment.indices.shape}"
        )
