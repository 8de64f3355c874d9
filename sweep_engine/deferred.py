"""Packages whose names are imported at their first use, so that a command imports what it needs."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def deferred(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package that imports its public names when they are asked for.

    No submodule may have one of the names: once imported, it would stand in the name's place.

    Args:
        package: The package's `__name__`.
        homes: The submodule that defines each name.
    """

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return getattribute
