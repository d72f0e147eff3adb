"""What an integrator imports is chosen, importable and documented."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import pytest
from sphinx.pycode import ModuleAnalyzer

import retaia_core

MODULES = [
    name
    for name in (
        "retaia_core",
        *(m.name for m in pkgutil.walk_packages(retaia_core.__path__, prefix="retaia_core.")),
    )
    if "._" not in name and not name.startswith("retaia_core.testing")
]


def _documented_constants() -> set[str]:
    return {
        name
        for module in MODULES
        for (owner, name), lines in ModuleAnalyzer.for_module(module).find_attr_docs().items()
        if not owner and any(lines)
    }


def _own_docstring(thing: object) -> str:
    return (getattr(thing, "__doc__", None) or "").strip()


def test_the_surface_is_chosen() -> None:
    """`retaia_core.__all__` is there, sorted, without doubles, and names nothing private."""
    names = list(retaia_core.__all__)
    assert names
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith("_") and name != "__version__"]


def test_every_public_name_is_documented() -> None:
    """A class, function or module has a docstring; a constant has one below it."""
    constants = _documented_constants()
    silent = [name for name in retaia_core.__all__ if not _is_documented(name, constants)]
    assert silent == []


def _is_documented(name: str, constants: set[str]) -> bool:
    thing = getattr(retaia_core, name)
    if inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing):
        return bool(_own_docstring(thing))
    return name in constants or name == "__version__"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module: str) -> None:
    """A module of the core begins with a docstring, which is its page in the reference."""
    assert _own_docstring(import_module(module))
