"""Configuration of the book: `make book` builds it into build/book by Sphinx.

The source folder is the repository's root, so a relative link in a lesson or a page leads to the
same file on GitHub, in JupyterLab and in the book. Nothing is loaded from other hosts: formulas
are MathML, and fonts and scripts are the theme's own files.

Sources:
    Sphinx's configuration: https://www.sphinx-doc.org/en/master/usage/configuration.html
    myst-nb: https://myst-nb.readthedocs.io
    the theme: https://sphinx-book-theme.readthedocs.io
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import book_parts  # noqa: E402

metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
repository = metadata["project"]["urls"]["Repository"]
ref = metadata["tool"]["tutorial"]["ref"]

project = "Ants and Bees"
author = "the authors of Ants and Bees"
copyright = "the authors of Ants and Bees. Code: MIT. Prose and figures: CC BY 4.0"
language = "en"
root_doc = "docs/index"
extensions = ["myst_nb"]
include_patterns = [
    "docs/*.md",
    "notebooks/*.ipynb",
    "notebooks/solutions/*.ipynb",
    "bench/*.md",
    "tutorial_utils/assets/README.md",
]
exclude_patterns = [".*", "build", "tests", "pretraining", "wheels", "**/.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # else widgets would load scripts from another host
nb_merge_streams = True

html_theme = "sphinx_book_theme"
html_title = "Ants and Bees"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = True
html_sourcelink_suffix = ""
html_search_language = "en"
html_context = {"default_mode": "auto"}  # else the theme logs an error on every page
html_theme_options = {
    "max_navbar_depth": 1,  # deeper levels would fold, by buttons without a name
    "repository_url": repository,
    "repository_branch": ref,
    "path_to_docs": "",
    "navbar_persistent": [],  # the search field stands above the list of pages
    "use_repository_button": True,
    "use_source_button": True,
    "use_download_button": True,
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
    "show_toc_level": 2,
    "home_page_in_toc": True,
}


def setup(app):
    """Register what `book_parts` adds to Sphinx."""
    return book_parts.setup(app)
