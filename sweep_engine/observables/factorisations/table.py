"""The table of factorisations: what is known of which model."""

from collections.abc import Callable

import flax.linen as nn

from sweep_engine.models import Network
from sweep_engine.models.networks import (
    DiagonalNetwork,
    MatrixFactorisationNetwork,
    MlpNetwork,
    ScalarFactorisationNetwork,
)
from sweep_engine.observables.factorisations.chains import LinearChain, MatrixProduct, ReluChain
from sweep_engine.observables.factorisations.coordinatewise import DiagonalPowers, ScalarProduct
from sweep_engine.observables.factorisations.factorisation import Factorisation


def factorisation(network: Network) -> Factorisation | None:
    """Return how a model's function factorises; None where nothing is known of it."""
    make = FACTORISATIONS.get(type(network.module))
    return None if make is None else make(network)


def _of_matrices(network: Network) -> Factorisation | None:
    """Return the product of two matrices or more; one alone is no product."""
    return MatrixProduct(network) if len(network.layout.leaves) > 1 else None


def _of_chain(network: Network) -> Factorisation | None:
    """Tell chains apart by their activation; one layer alone is no product."""
    assert isinstance(network.module, MlpNetwork)
    kinds = {"linear": LinearChain, "relu": ReluChain}
    if not network.module.widths or network.module.activation not in kinds:
        return None
    return kinds[network.module.activation](network)


FACTORISATIONS: dict[type[nn.Module], Callable[[Network], Factorisation | None]] = {
    MlpNetwork: _of_chain,
    DiagonalNetwork: lambda network: DiagonalPowers(network, depth=network.module.depth),
    MatrixFactorisationNetwork: _of_matrices,
    ScalarFactorisationNetwork: ScalarProduct,
}
"""What is known of each flax module; a model that is not here has no known factorisation."""
