"""The PyTorch contenders; PyTorch is the extra `bench`, and nothing else imports it.

One network at a time; `torch.func.vmap` of the gradient; and networks side by side in batched
products, as HFTA fuses them, with a learning rate for each.

Source:
    Wang, Yang, Bugelsky et al. (2021), Horizontally fused training array, MLSys.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits, conv1d, cross_entropy, relu

from sweep_engine.bench.training.contender import Bare, Losses, Run
from sweep_engine.bench.training.networks import PADDING, STRIDE
from sweep_engine.bench.training.problem import MOMENTUM, Problem

ALONE = 4
"""Networks that are trained one at a time; all are alike, so they stand for all."""

Tensors = dict[str, torch.Tensor]


class OneAtATime(Bare):
    """A module and an optimiser of `torch.optim`, network after network: what most people write.

    On one thread: more only get in each other's way in products as small as these.
    """

    name = "PyTorch, one at a time"
    most_networks = ALONE

    def prepare(self, problem: Problem, steps: int) -> Run:
        x, y, loss = _data(problem)
        order = _order(problem, steps)

        def train(r: int) -> torch.nn.Module:
            module = _module(problem, r)
            rate = float(problem.rates[r])
            optimizer: torch.optim.Optimizer
            if problem.workload.optimizer == "adam":
                optimizer = torch.optim.Adam(module.parameters(), lr=rate)
            else:
                optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=MOMENTUM)
            for t in range(steps):
                xb, yb = (x, y) if order is None else (x[order[r, t]], y[order[r, t]])
                optimizer.zero_grad()
                loss(module(xb), yb).backward()
                optimizer.step()
            return module

        def run() -> Losses:
            with _threads(1):
                modules = [train(r) for r in range(min(problem.networks, ALONE))]
            return lambda: np.array([loss(module(x), y).item() for module in modules])

        return run


class FuncVmap(Bare):
    """`vmap(grad(loss))` over stacked modules."""

    name = "torch.func.vmap"

    def prepare(self, problem: Problem, steps: int) -> Run:
        x, y, loss = _data(problem)
        order = _order(problem, steps)
        base, rates = _module(problem, 0), torch.tensor(problem.rates)
        start = _module_state(problem)

        def objective(params: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return loss(functional_call(base, params, (x,)), y)

        shared = None if order is None else 0
        gradient = vmap(grad(objective), in_dims=(0, shared, shared))

        def run() -> Losses:
            params = {name: value.clone() for name, value in start.items()}
            descend = _rule(problem, params)
            for t in range(steps):
                examples = (x, y) if order is None else (x[order[:, t]], y[order[:, t]])
                descend(params, gradient(params, *examples), rates)
            losses = vmap(objective, in_dims=(0, None, None))
            return lambda: np.asarray(losses(params, x, y))

        return run


class Stacked(Bare):
    """Batched products (`baddbmm`) and grouped convolutions over all networks, and autograd."""

    name = "PyTorch, stacked (HFTA)"

    def prepare(self, problem: Problem, steps: int) -> Run:
        x, y, loss = _data(problem)
        order = _order(problem, steps)
        networks, rates = problem.networks, torch.tensor(problem.rates)
        start = _stacked_params(problem)
        everyone = (x.expand(networks, *x.shape), y.expand(networks, *y.shape))

        def losses(params: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            outputs = _stacked_outputs(params, x)
            each = loss(outputs.flatten(0, 1), y.flatten(), reduction="none")
            return each.view(networks, -1).mean(1)

        def run() -> Losses:
            params = {name: value.clone().requires_grad_() for name, value in start.items()}
            descend = _rule(problem, params)
            for t in range(steps):
                xb, yb = everyone if order is None else (x[order[:, t]], y[order[:, t]])
                gradients = torch.autograd.grad(losses(params, xb, yb).sum(), [*params.values()])
                with torch.no_grad():
                    descend(params, dict(zip(params, gradients, strict=True)), rates)
            return lambda: losses(params, *everyone).detach().numpy()

        return run


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Momentum:
    """Step: v <- m v + g, then theta <- theta - lr v, with each network's lr."""

    def __init__(self, params: Tensors) -> None:
        self.moments = {name: torch.zeros_like(value) for name, value in params.items()}

    def __call__(self, params: Tensors, gradients: Tensors, rates: torch.Tensor) -> None:
        for name, value in params.items():
            moment = self.moments[name].mul_(MOMENTUM).add_(gradients[name])
            value.sub_(rates.view(-1, *[1] * (value.ndim - 1)) * moment)


class _Adam:
    """A step of Adam, with each network's lr."""

    def __init__(self, params: Tensors) -> None:
        self.first = {name: torch.zeros_like(value) for name, value in params.items()}
        self.second = {name: torch.zeros_like(value) for name, value in params.items()}
        self.steps = 0

    def __call__(self, params: Tensors, gradients: Tensors, rates: torch.Tensor) -> None:
        self.steps += 1
        b1, b2 = 0.9, 0.999
        for name, value in params.items():
            g = gradients[name]
            m = self.first[name].mul_(b1).add_(g, alpha=1 - b1)
            v = self.second[name].mul_(b2).addcmul_(g, g, value=1 - b2)
            m, v = m / (1 - b1**self.steps), v / (1 - b2**self.steps)
            value.sub_(rates.view(-1, *[1] * (value.ndim - 1)) * m / (v.sqrt() + 1e-8))


def _rule(problem: Problem, params: Tensors) -> _Momentum | _Adam:
    return _Adam(params) if problem.workload.optimizer == "adam" else _Momentum(params)


def _data(problem: Problem) -> tuple[torch.Tensor, torch.Tensor, Callable[..., torch.Tensor]]:
    """Inputs, targets and the mean loss; the binary one takes outputs (N, 1) too."""
    x, y = torch.tensor(problem.x), torch.tensor(problem.y)
    if problem.bucket.task.loss.num_outputs() == 1:

        def logistic(f: torch.Tensor, y: torch.Tensor, **how: Any) -> torch.Tensor:
            return binary_cross_entropy_with_logits(f[..., 0], y, **how)

        return x, y.float(), logistic
    return x, y.long(), cross_entropy


def _order(problem: Problem, steps: int) -> torch.Tensor | None:
    found = problem.minibatches(steps)
    return None if found is None else torch.tensor(found).long()


def _layers(problem: Problem, r: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kernel, bias) of each layer of a network, as flax has them."""
    tree = problem.network.layout.unflatten(problem.theta[r])
    return [(np.asarray(layer["kernel"]), np.asarray(layer["bias"])) for layer in tree.values()]


def _as_torch(kernel: np.ndarray) -> torch.Tensor:
    """A kernel with its axes in PyTorch's order: outputs, inputs, window."""
    return torch.tensor(np.ascontiguousarray(kernel.T))


class _Net(torch.nn.Module):
    """Convolutions, if any, then dense layers; relu between all."""

    def __init__(self, layers: list[tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for kernel, bias in layers:
            layer: torch.nn.Conv1d | torch.nn.Linear
            if kernel.ndim == 3:
                window, inputs, outputs = kernel.shape
                layer = torch.nn.Conv1d(inputs, outputs, window, STRIDE, PADDING)
            else:
                layer = torch.nn.Linear(*kernel.shape)
            layer.load_state_dict({"weight": _as_torch(kernel), "bias": torch.tensor(bias)})
            self.layers.append(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None] if isinstance(self.layers[0], torch.nn.Conv1d) else x
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        # flax has positions before channels.
        x = x.transpose(1, 2).flatten(1) if x.ndim == 3 else x
        outputs: torch.Tensor = self.layers[-1](x)
        return outputs


def _module(problem: Problem, r: int) -> _Net:
    return _Net(_layers(problem, r))


def _stacked_params(problem: Problem) -> Tensors:
    """Kernels (R, D, H) of dense layers, weights (R, H, D, window) of convolutions; biases."""
    tree = jax.vmap(problem.network.layout.unflatten)(jnp.asarray(problem.theta))
    found = {}
    for i, layer in enumerate(tree.values()):
        kernel = np.asarray(layer["kernel"])
        # Of a convolution flax has (R, window, D, H).
        kernel = kernel.transpose(0, 3, 2, 1) if kernel.ndim == 4 else kernel
        found[f"kernel_{i}"] = torch.tensor(np.ascontiguousarray(kernel))
        found[f"bias_{i}"] = torch.tensor(np.asarray(layer["bias"]))
    return found


def _module_state(problem: Problem) -> Tensors:
    """The parameters of all networks under the names that `_Net` has for them."""
    state = {}
    for name, value in _stacked_params(problem).items():
        kind, layer = name.split("_")
        weight = value.transpose(1, 2).contiguous() if value.ndim == 3 else value
        state[f"layers.{layer}.{'weight' if kind == 'kernel' else 'bias'}"] = weight
    return state


def _stacked_outputs(params: Tensors, x: torch.Tensor) -> torch.Tensor:
    """Outputs (R, B, C) of inputs (R, B, D)."""
    layers = len(params) // 2
    for i in range(layers):
        kernel, bias = params[f"kernel_{i}"], params[f"bias_{i}"]
        if kernel.ndim == 4:
            x = _grouped_convolution(x, kernel, bias)
        else:
            x = x.transpose(2, 3).flatten(2) if x.ndim == 4 else x
            x = torch.baddbmm(bias[:, None], x, kernel)
        x = relu(x) if i < layers - 1 else x
    return x


def _grouped_convolution(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Every network's convolution as a group of one: (R, B, [D,] L) to (R, B, H, L')."""
    networks, examples, length = len(x), x.shape[1], x.shape[-1]
    inputs = x.reshape(networks, examples, -1, length).transpose(0, 1).flatten(1, 2)
    outputs = conv1d(inputs, kernel.flatten(0, 1), bias.flatten(), STRIDE, PADDING, groups=networks)
    return outputs.unflatten(1, (networks, -1)).transpose(0, 1)
