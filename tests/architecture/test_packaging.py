"""What set-up installs: exact, complete, licensed, and the same in every list."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PINNED = {
    canonicalize_name(line.split("==")[0]): Version(line.split("==")[1])
    for line in (REPOSITORY / "packaging" / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
}
WANTED = [
    Requirement(text)
    for text in PROJECT["dependencies"] + [one for group in PROJECT["optional-dependencies"].values() for one in group]
]


# Import names that differ from the package's, and packages that are run or loaded rather than imported.
DISTRIBUTION_OF = {
    "PySide6": "pyside6-essentials",
    "shiboken6": "pyside6-essentials",
    "jack": "jack-client",
    "parselmouth": "praat-parselmouth",
    "pytestqt": "pytest-qt",
    "rtmidi": "python-rtmidi",
    "swift_f0": "swift-f0",
}
NOT_IMPORTED = {
    "import-linter", "pyright", "ruff", "pytest-timeout",  # programs, and a plug-in
    "python-rtmidi",  # mido's back end
    "tensorboard",  # torch.utils.tensorboard's, where the training extra is installed
    "pyworld",  # loaded by name, where the evaluation extra is installed
    "atheris",  # the same, where the fuzz extra is
    "audio-diffusion-pytorch", "a-unet", "einops",  # the same, where the peers extra is
}  # fmt: skip


def imported_packages() -> set[str]:
    """Every package that our sources and tests import, by the name of its distribution."""
    ours = {"app", "ui", "synth", "tests", *sys.stdlib_module_names}
    names: set[str] = set()
    for room in ("app", "ui", "synth", "tests"):
        for path in (REPOSITORY / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    names.add(node.module.split(".")[0])
    return {canonicalize_name(DISTRIBUTION_OF.get(name, name)) for name in names - ours}


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    """An import that only works because somebody installed it by hand fails on everybody else's machine."""
    declared = {canonicalize_name(wanted.name) for wanted in WANTED}
    assert imported_packages() - declared == set()
    assert declared - imported_packages() - NOT_IMPORTED == set()


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_dependency_is_pinned_within_its_range(wanted: Requirement) -> None:
    assert wanted.specifier, "a dependency needs a range"
    assert wanted.specifier.contains(PINNED[canonicalize_name(wanted.name)])


def test_torch_is_the_one_the_weights_were_trained_with() -> None:
    assert str(PINNED[canonicalize_name("torch")]) == "2.13.0"  # a local build such as +cpu satisfies it as well


def test_every_pinned_package_has_its_licence_listed() -> None:
    listed = canonical_words((REPOSITORY / "packaging" / "THIRD_PARTY.md").read_text())
    assert [name for name in PINNED if name not in listed] == []


def test_nothing_needed_at_run_time_is_under_the_gpl() -> None:
    """praat-parselmouth is the one GPL package, and the tables say where it may be used."""
    run_time, _, tests_only = (REPOSITORY / "packaging" / "THIRD_PARTY.md").read_text().partition("## Tests, checks")
    assert "praat-parselmouth" in tests_only
    assert "praat-parselmouth" not in run_time
    assert not re.search(r"\|[^|]*(?<!L)GPL", run_time)
    assert all(canonicalize_name(Requirement(text).name) != "praat-parselmouth" for text in PROJECT["dependencies"])


def test_no_wheel_can_be_published_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


def test_nothing_names_an_index_host() -> None:
    for name in ("Makefile", "pyproject.toml", "packaging/setup.sh", "packaging/check.sh", "packaging/constraints.txt"):
        assert "://" not in (REPOSITORY / name).read_text(), name


def test_second_setup_is_instant_and_needs_no_network(tmp_path: Path) -> None:
    """With the stamp of these very lists, the script ends before it looks at anything else."""
    (tmp_path / "packaging").mkdir()
    for name in ("pyproject.toml", "packaging/constraints.txt", "packaging/system-packages.txt", "packaging/setup.sh"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    script = tmp_path / "packaging" / "setup.sh"
    script.chmod(0o755)
    program = tmp_path / ".venv" / "bin" / "stridor"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    lists = "cat pyproject.toml packaging/constraints.txt packaging/system-packages.txt packaging/setup.sh | cksum"
    stamp = subprocess.run(["sh", "-c", lists], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / ".venv" / "setup-stamp").write_bytes(stamp)
    tools = {"PATH": f"{tmp_path}/tools"}
    (tmp_path / "tools").mkdir()
    for tool in ("sh", "cat", "cksum", "dirname"):
        (tmp_path / "tools" / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run([str(script)], cwd=tmp_path, env=tools, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["packaging/setup.sh", "packaging/check.sh", ".ci/run"])
def test_script_is_valid_and_executable(name: str) -> None:
    assert os.access(REPOSITORY / name, os.X_OK)
    subprocess.run(["sh", "-n", str(REPOSITORY / name)], check=True)


def test_desktop_entry_and_metadata_agree() -> None:
    desktop = (REPOSITORY / "packaging" / "stridor.desktop").read_text()
    root = ElementTree.parse(REPOSITORY / "packaging" / "org.stridor.Stridor.metainfo.xml").getroot()
    assert root.findtext("launchable") == "stridor.desktop"
    assert root.findtext("project_license") == PROJECT["license"]
    assert "Exec=stridor" in desktop
    assert f"Comment={root.findtext('summary')}" in desktop
    ElementTree.parse(REPOSITORY / "packaging" / "stridor.svg")
    assert (REPOSITORY / "packaging" / "stridor.png").read_bytes().startswith(b"\x89PNG")


def canonical_words(text: str) -> set[str]:
    return {canonicalize_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)}
