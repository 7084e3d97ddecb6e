"""The documentation site: `python -m sphinx -W -n -b html docs OUT` builds it without a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_site"), str(HERE.parent)]

import trimcp  # noqa: E402  (the checkout, whose path comes first)

project = "trimcp"
author = "the trimcp developers"
version = release = trimcp.__version__
html_title = f"trimcp {version}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinxcontrib_trio",
    "sphinx_copybutton",
    "links",
    "diagrams",
    "docstrings",
    "public_names",
]
exclude_patterns = ["_*"]
suppress_warnings = ["myst.header"]  # pages that begin with a figure

# Markdown
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

# Docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"
nitpick_ignore = [("py:class", "httpx2.AsyncClient"), ("py:class", "hypothesis.strategies.SearchStrategy")]
python_use_unqualified_type_names = True
maximum_signature_line_length = 90

# Links to other projects, from inventories in the repository: the build has no network.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3.11", str(HERE / "_site" / "python.inv")),
    "trio": ("https://trio.readthedocs.io/en/stable", str(HERE / "_site" / "trio.inv")),
}

# Pages
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["trimcp.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "tango"
pygments_dark_style = "github-dark"
