"""A release: one version, a citation, a container, an issue form; Colab's published versions."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

import tutorial_utils

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "binder"))

import check_colab  # noqa: E402


def test_citation_and_changelog_have_the_package_s_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == tutorial_utils.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    newest = re.search(r"^## (\S+) \((\S+)\)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest.groups() == (citation["version"], citation["date-released"])


def test_the_container_reuses_what_binder_installs():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    used = re.findall(r"binder/\w+(?:\.txt)?", container["postCreateCommand"])
    used += container["customizations"]["codespaces"]["openFiles"]
    assert len(used) == 3
    assert all((ROOT / name).is_file() for name in used)
    assert container["image"].endswith((ROOT / "binder" / "runtime.txt").read_text().strip()[-4:])


def test_the_issue_form_has_labelled_fields():
    form = ROOT / ".github" / "ISSUE_TEMPLATE" / "problem.yml"
    fields = yaml.safe_load(form.read_text(encoding="utf-8"))["body"]
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


@pytest.mark.parametrize(
    ("published", "found"),
    [
        ("# a list\ntorch==2.11.0+cu128\nNumPy==2.1.3\nx @ https://example.org/x.whl\n", []),
        ("torch==2.12.0+cu128\nnumpy==2.1.3\n", ["torch: 2.11.0 here, 2.12.0 on Colab"]),
        ("torch==2.11.0\n", ["numpy: 2.1.3 here, none on Colab"]),
    ],
)
def test_versions_that_differ_from_colab_s_are_listed(published, found):
    ours = {"torch": "torch==2.11.0", "numpy": "numpy==2.1.3"}
    assert check_colab.differences(published, ours) == found
