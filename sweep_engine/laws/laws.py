"""The laws that a sweep file can name, as functions of the law and the layout of theta."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Key

from sweep_engine.laws.balanced import BalancedFactors, BalancedUnits, UnitProduct
from sweep_engine.laws.distribution import Distribution
from sweep_engine.laws.element_wise import (
    Fixed,
    Independent,
    Laplace,
    Normal,
    Sign,
    StudentT,
    Ternary,
    Uniform,
)
from sweep_engine.laws.images import Image, images_of
from sweep_engine.laws.initialisers import law_of_array, torch_default
from sweep_engine.laws.product import JointLeaves, Product, layers, layout_of
from sweep_engine.laws.recipe import Step, recipe_of
from sweep_engine.laws.scaled_normals import ScaledNormals, scaled_normals_of
from sweep_engine.laws.spheres import InBall, OnSphere
from sweep_engine.models import Layout
from sweep_engine.spec import laws as specs
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.laws import LawSpec


def sample(law: LawSpec, layout: Layout, key: Key[Array, ""]) -> Float[Array, " P"]:
    """Draw one theta.

    Args:
        law: Its traced fields may be tracers.
        layout: How theta is made of a network's parameters.
        key: The network's own.

    Raises:
        TypeError: the law is the flax module's own, which the network itself draws.
        ValueError: a law of layers does not have as many laws as there are layers.

    Source:
        LeCun et al. (1998), Glorot & Bengio (2010), He et al. (2015), Saxe, McClelland &
        Ganguli (2014) for the initialisations; truncated normals as jax and flax have them,
        cut at two deviations and rescaled to their variance.
    """
    return bind(law, layout).sample(key)


def recipe(law: LawSpec, layout: Layout) -> tuple[Step, ...] | None:
    """List the steps by which kernels draw what `sample` does, in theta's order.

    Returns:
        None for laws that are not numbers of a few kinds, times scales.

    >>> from sweep_engine.models import Leaf
    >>> from sweep_engine.spec.laws import Ball
    >>> two_weights = Layout((Leaf(("Dense_0", "kernel"), (2, 1), 0),))
    >>> (step,) = recipe(Ball(radius=2.0), two_weights)
    >>> step.numbers, step.scales, step.fills_ball
    ('direction', (2.0,), True)
    """
    if isinstance(law, specs.ModuleInit):
        return None
    return recipe_of(bind(law, layout), layout.leaves)


def scaled_normals(law: LawSpec, layout: Layout) -> ScaledNormals | None:
    """Say how `from_normals` makes theta, where it only scales normals; None where it does more.

    >>> from sweep_engine.models import Leaf
    >>> from sweep_engine.spec.laws import Gaussian
    >>> two_weights = Layout((Leaf(("Dense_0", "kernel"), (2, 1), 0),))
    >>> found = scaled_normals(Gaussian(std=3.0), two_weights)
    >>> found.scale.tolist(), found.places
    ([3.0, 3.0], ((0, 2),))
    """
    return scaled_normals_of(bind(law, layout), layout.leaves)


def num_normals(law: LawSpec, layout: Layout) -> int:
    """Count the standard normals of which `from_normals` makes one theta."""
    return bind(law, layout).num_normals


def from_normals(law: LawSpec, layout: Layout, z: Float[Array, " M"]) -> Float[Array, " P"]:
    """Map independent standard normals, `num_normals` of them, to a draw of the law.

    Continuous where the law is; a move of z that leaves N(0, I) unchanged leaves every law
    unchanged. The same law as `sample`, not the same numbers.

    Raises:
        ValueError: z has another length.

    >>> import jax.numpy as jnp
    >>> from sweep_engine.models import Leaf
    >>> from sweep_engine.spec.laws import Sphere
    >>> two_weights = Layout((Leaf(("Dense_0", "kernel"), (2, 1), 0),))
    >>> from_normals(Sphere(radius=5.0), two_weights, jnp.array([0.3, 0.4])).tolist()
    [3.0, 4.0]
    """
    bound = bind(law, layout)
    if z.shape != (bound.num_normals,):
        raise ValueError(f"expected z of shape ({bound.num_normals},), got {z.shape}")
    return bound.from_normals(z)


def images(law: LawSpec, layout: Layout) -> tuple[Image, ...] | None:
    """List by array what kernels do where `from_normals` is meant, in theta's order.

    Returns:
        None for laws whose arrays are not normals, uniform numbers or constants, times scales.

    >>> from sweep_engine.models import Leaf
    >>> from sweep_engine.spec.laws import Box
    >>> two_weights = Layout((Leaf(("Dense_0", "kernel"), (2, 1), 0),))
    >>> (image,) = images(Box(half_width=2.0), two_weights)
    >>> image.numbers, image.scale
    ('uniform', 2.0)
    """
    if isinstance(law, specs.ModuleInit):
        return None
    return images_of(bind(law, layout), layout.leaves)


def log_density(law: LawSpec, layout: Layout, theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Compute the log-density at theta, in nats; -inf outside the support.

    With respect to volume in the space of theta, but for singular laws: area on the sphere
    (of every layer's sphere, for one per layer); for `orthogonal`, the Hausdorff measure of
    the semi-orthogonal matrices, which for a single column is the sphere's area; for discrete
    laws it is the log-probability; parameters that are fixed at 0 count as a point, so that
    the density is that of the others. Points within float32 rounding of the support are in
    it. Differentiable in theta inside the support of laws with a density in R^P.

    Raises:
        ValueError: the law is one of balanced networks or of products of one norm: it has none.
    """
    return bind(law, layout).log_density(theta)


def std(law: LawSpec, layout: Layout) -> Float[Array, " P"]:
    """Compute the standard deviation of every parameter.

    0 for parameters that are fixed; infinite for `student_t` with one or two degrees of
    freedom, which has none.

    Raises:
        ValueError: the law is one of balanced networks or of products of one norm, where they are
            not known.
    """
    return bind(law, layout).std()


def support(law: LawSpec) -> str:
    """Say where the law's mass lies."""
    return law.support


def enumerate_support(
    law: LawSpec, layout: Layout, *, max_points: int = 2**20
) -> tuple[Float[np.ndarray, "n P"], Float[np.ndarray, " n"]]:
    """List every theta of a discrete law, one a row, with its log-probability.

    Raises:
        ValueError: the law is not discrete, or it has more than `max_points` points.
    """
    atoms = bind(law, layout).atoms()
    if atoms is None:
        raise ValueError(f"the law '{law.title}' is not discrete: its support has no list")
    num_points = math.prod(len(atom.values) for atom in atoms)
    if num_points > max_points:
        raise ValueError(f"{num_points:,} points, more than max_points = {max_points:,}")
    rest = np.arange(num_points)
    points = np.empty((num_points, len(atoms)), np.float32)
    log_probabilities = np.zeros(num_points)
    for parameter in reversed(range(len(atoms))):  # the last one varies fastest
        rest, choice = np.divmod(rest, len(atoms[parameter].values))
        points[:, parameter] = atoms[parameter].values[choice]
        log_probabilities += atoms[parameter].log_probabilities[choice]
    return points, log_probabilities


def check(law: LawSpec, layout: Layout) -> None:
    """Check that the law fits the layout, before anything is drawn.

    Raises:
        ValueError: a law of layers does not have as many laws as there are layers.
    """
    if not isinstance(law, specs.ModuleInit):
        bind(law, layout)


def bind(law: LawSpec, layout: Layout) -> Distribution:
    """Give the distribution of theta that a law is for one layout."""
    return DISTRIBUTIONS[type(law)](law, layout)


def _by_layer(laws: Sequence[LawSpec], layout: Layout) -> Product:
    by_layer = layers(layout)
    if len(laws) != len(by_layer):
        names = ["/".join(leaves[0].path[:-1]) for leaves in by_layer]
        named = f", {', '.join(names)}" if all(names) else ""
        raise ValueError(
            f"layers: give one law a layer: this model has {len(names)}{named}; got {len(laws)}"
        )
    return Product(
        tuple(
            JointLeaves(leaves, bind(law, layout_of(leaves)))
            for law, leaves in zip(laws, by_layer, strict=True)
        )
    )


def _by_name(law: specs.Arrays, layout: Layout) -> Product:
    by_name = {leaf.name: leaf for leaf in layout.leaves}
    given = [one.array for one in law.arrays]
    unknown, without = set(given) - set(by_name), set(by_name) - set(given)
    if unknown or without:
        raise ValueError(
            f"arrays: give one law an array: this model has {', '.join(by_name)}; got "
            f"{', '.join(given)}"
        )
    return Product(
        tuple(
            JointLeaves((leaf,), bind(one.law, layout_of([leaf])))
            for one in law.arrays
            for leaf in [by_name[one.array]]
        )
    )


def _ball(law: specs.Ball, layout: Layout) -> Distribution:
    return _one_each(law, layout) if law.per_layer else InBall(law.radius, layout.num_params)


def _sphere(law: specs.Sphere, layout: Layout) -> Distribution:
    return _one_each(law, layout) if law.per_layer else OnSphere(law.radius, layout.num_params)


def _one_each(law: specs.Ball | specs.Sphere, layout: Layout) -> Product:
    """A ball or a sphere of its own for every layer."""
    of_one_layer = law.model_copy(update={"per_layer": False})
    return _by_layer([of_one_layer] * len(layers(layout)), layout)


def _by_array(
    law: specs.FanIn | specs.Initialiser | specs.Orthogonal, layout: Layout
) -> Distribution:
    return Product(tuple(JointLeaves((leaf,), law_of_array(law, leaf)) for leaf in layout.leaves))


def _torch(law: specs.Torch, layout: Layout) -> Distribution:
    return Product(
        tuple(
            JointLeaves((leaf,), torch_default(law.scale, leaves, leaf))
            for leaves in layers(layout)
            for leaf in leaves
        )
    )


def _of_the_module(law: specs.ModuleInit, layout: Layout) -> Distribution:
    raise TypeError("the law 'module' is the network's own: only it can sample it")


DISTRIBUTIONS: dict[type[specs.Law], Callable[[Any, Layout], Distribution]] = {
    specs.Box: lambda law, of: Independent(Uniform(), law.half_width, of.num_params),
    specs.Ball: _ball,
    specs.Sphere: _sphere,
    specs.Gaussian: lambda law, of: Independent(Normal(), law.std, of.num_params),
    specs.Laplace: lambda law, of: Independent(Laplace(), law.scale, of.num_params),
    specs.StudentT: lambda law, of: Independent(
        StudentT(law.degrees_of_freedom), law.scale, of.num_params
    ),
    specs.Binary: lambda law, of: Independent(Sign(), law.scale, of.num_params),
    specs.Ternary: lambda law, of: Independent(
        Ternary(law.zero_probability), law.scale, of.num_params
    ),
    specs.Constant: lambda law, of: Fixed(law.value, of.num_params),
    specs.FanIn: _by_array,
    specs.Initialiser: _by_array,
    specs.Torch: _torch,
    specs.Orthogonal: _by_array,
    specs.Layers: lambda law, of: _by_layer(law.layers, of),
    specs.Arrays: _by_name,
    specs.Balanced: lambda law, of: BalancedFactors(of, law.kind, law.std, law.scale, 0.0, 0.0),
    specs.RelaxedBalanced: lambda law, of: BalancedFactors(
        of, law.kind, law.std, law.scale, law.imbalance, law.pattern or 1.0
    ),
    specs.BalancedUnits: lambda law, of: BalancedUnits(of, bind(law.law, of)),
    specs.UnitProduct: lambda law, of: UnitProduct(of, bind(law.law, of), law.scale),
    specs.Scaled: lambda law, of: bind(law.whole, of),
    specs.ModuleInit: _of_the_module,
    specs.CustomLaw: lambda law, of: law.value.distribution(of),
}
"""The distribution of theta that every law is, for a layout."""

check_complete(specs.LawSpec, DISTRIBUTIONS, "sweep_engine.laws.laws.DISTRIBUTIONS")
