"""How the documentation is built: offline, from this folder and from the code's docstrings."""

from __future__ import annotations

import pkgutil
import shutil
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path
from typing import ParamSpec, TypeVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _commands import table  # noqa: E402 - it lies beside this file

project = "Retaia"
author = "The Retaia authors"
project_copyright = "2026, The Retaia authors"
release = version_of("retaia")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Retaia {release}"
html_static_path = ["_static"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Docstrings run under pytest, with their module's names; here only the examples of the pages run.
doctest_test_doctest_blocks = ""
# Every name of ours that a page mentions must be there. Names of other projects are not looked up,
# since that would need their sites; nor are private names.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!retaia_).*"),
    (r"py:.*", r"retaia_.*\._\w+"),
]

API = HERE / "reference" / "api"
# What an integrator imports. Other adapters and the agent are reached through hooks, settings and commands.
PUBLIC_PACKAGES = ("retaia_core", "retaia_adapters.http_client")
_PAGE = """\
# {name}

```{{eval-rst}}
.. automodule:: {name}
```
"""
# The package itself: its names are documented where they live, once.
_SURFACE = """\
# {name}

```{{eval-rst}}
.. automodule:: {name}
   :no-members:
```

{table}
"""


def _modules(package: str) -> list[str]:
    found = import_module(package)
    inside = [
        module.name
        for module in pkgutil.walk_packages(found.__path__, prefix=f"{package}.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]
    return [package, *sorted(inside)]


@cache
def _public_modules() -> tuple[str, ...]:
    return tuple(name for package in PUBLIC_PACKAGES for name in _modules(package))


def _surface(package: str) -> str:
    """Say which names a package offers, and where each is described."""
    homes: dict[str, str] = import_module(package)._HOMES
    rows = (
        (f"{{py:mod}}`{package}.{home}`", ", ".join(f"`{name}`" for name in names.split()))
        for home, names in homes.items()
    )
    return _SURFACE.format(name=package, table=table(("described in", "names"), rows))


def write_api_pages(app: Sphinx) -> None:
    """Write one page for every public module, so that a new module is documented by being there."""
    names = _public_modules()
    pages = {f"{name}.md": _PAGE.format(name=name) for name in names}
    pages |= {f"{name}.md": _surface(name) for name in PUBLIC_PACKAGES}
    toctree = "\n".join(names)
    pages["index.md"] = f"# Modules\n\n```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"
    if {path.name for path in API.glob("*")} - pages.keys():
        shutil.rmtree(API)
    API.mkdir(exist_ok=True)
    for name, text in pages.items():
        path = API / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


LETTERS = (ParamSpec, TypeVar)


def leave_type_variables(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.TextElement | None:
    """A type variable is a letter of the signature's grammar and has no place to point to."""
    module, _, name = str(node.get("reftarget", "")).rpartition(".")
    if module not in _public_modules():
        return None
    # Pages are read by several processes, so this one may not have the module yet.
    return shown if isinstance(getattr(import_module(module), name, None), LETTERS) else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write_api_pages)
    app.connect("missing-reference", leave_type_variables)
