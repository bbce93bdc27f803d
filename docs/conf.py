"""How the documentation is built: `make docs`, or `sphinx-build -W -n docs docs/_build/html`.

Nothing is fetched: no fonts, no scripts and no inventories from elsewhere, so pages and build work without a network.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import clonesim  # noqa: E402

project = "clonesim"
author = "The clonesim developers"
copyright = "The clonesim developers, Apache-2.0"  # noqa: A001 (Sphinx's name)
version = release = clonesim.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "generated"]
exclude_patterns = ["_build", "_ext", "**.ipynb_checkpoints"]
nitpicky = True

default_role = "code"  # a name in single backticks in a docstring
smartquotes = False  # two hyphens of an option stay two hyphens
autodoc_typehints = "none"  # numpydoc's sections tell the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
nb_execution_mode = "off"  # outputs are kept; tests/test_notebooks.py runs them
nb_ipywidgets_js = {}  # widgets show as the picture that is kept: their scripts would come from elsewhere

html_theme = "furo"
html_title = f"clonesim {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []
