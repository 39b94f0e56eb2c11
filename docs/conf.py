"""Sphinx: Markdown pages of this folder, and a reference generated from the program itself (docs/_ext/reference.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from treg_gating import __version__

project = "treg-gating"
author = "The treg-gating developers"
copyright = "The treg-gating developers, Apache-2.0"
release = version = __version__

# Shapes such as (n_events,) look like references to every attribute of that name.
suppress_warnings = ["ref.python"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_build", "_ext", "studies", "performance_results.md"]

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"treg-gating {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["house.css"]


# Pages of the navigation that are not written yet: they appear there as soon as their file does.
_COMING = ("review", "schedule", "cluster", "performance")


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _leave_out_what_is_coming)


def _leave_out_what_is_coming(app, name, content):
    absent = [page for page in _COMING if not (Path(app.srcdir) / f"{page}.md").exists()]
    if name == "index":
        content[0] = "".join(line for line in content[0].splitlines(keepends=True) if line.strip() not in absent)
