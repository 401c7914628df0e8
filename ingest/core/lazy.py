"""Loads the public names of a package on first use (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, exports: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and the ``__dir__`` of a package.

    Type checkers and editors cannot see names that are loaded this way. The package imports them
    once more under ``TYPE_CHECKING``, and calls this function in the ``else`` branch: a module
    with a ``__getattr__`` would otherwise pass every misspelt name. ``exports`` has the public
    names, separated by spaces, by the module that defines them, relative to the package.
    """
    modules = {name: module for module, names in exports.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{modules[name]}", package), name)

    return load, lambda: sorted(modules)
