"""Take the parameters that a module is given as they stand.

At every call flax traces the initialiser of each parameter again, only to compare its shape with
that of the one that is there: three quarters of the time that a dense network took to trace.
Networks are built once and checked there, and their parameters come from their own layout.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import flax.linen as nn


def as_they_stand() -> AbstractContextManager[Any]:
    """Take the parameters of all modules that are applied inside without tracing initialisers."""
    return nn.intercept_methods(_intercept)


def _intercept(
    call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
) -> Any:
    module = context.module
    # A bound module lives for one call; flax has no other door to one that is not ours.
    object.__setattr__(module, "param", partial(_take, module))
    return call(*args, **kwargs)


def _take(module: nn.Module, name: str, *initialiser: Any, **options: Any) -> Any:
    if options or not module.has_variable("params", name):
        return type(module).param(module, name, *initialiser, **options)
    return nn.meta.unbox(module.get_variable("params", name))
