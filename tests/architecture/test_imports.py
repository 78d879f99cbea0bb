"""Imports run one way, and the check that says so notices when they do not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy_of_house(tmp_path: Path) -> Path:
    """The sources and their contracts, to plant something in."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for room in ("app", "ui", "synth"):
        shutil.copytree(
            REPOSITORY / room, tmp_path / room, ignore=lambda _, names: [n for n in names if not _is_source(n)]
        )
    return tmp_path


def _is_source(name: str) -> bool:
    return name.endswith(".py") or ("." not in name and name != "__pycache__")


def test_contracts_are_kept() -> None:
    result = lint(REPOSITORY)
    assert result.returncode == 0, result.stdout


PLANTED = {
    "a lower room imports the window": ("app/state/planted.py", "import ui.theme", "Imports run one way"),
    "features import the model": ("synth/features/planted.py", "import synth.codec", "one way through synth"),
    "the renderer imports training": ("app/render/planted.py", "import synth.train", "never imports training"),
    "the window imports torch": ("ui/planted.py", "import torch", "torch stays"),
    "the window opens a device": ("ui/planted.py", "import sounddevice", "The window knows"),
    "a core room imports Qt": ("app/store/planted.py", "import PySide6.QtCore", "Qt lives in ui"),
    "adapters are played through peft": ("synth/adapters/planted.py", "import peft", "never imports training"),
    "the corpus imports the model": ("synth/corpus/planted.py", "import synth.diffusion", "The corpus knows"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_planted_violation_is_found(what: str, copy_of_house: Path) -> None:
    path, code, contract = PLANTED[what]
    (copy_of_house / path).write_text(f'"""Planted."""\n\n{code}\n')
    result = lint(copy_of_house)
    assert result.returncode != 0, result.stdout
    assert f"{contract}" in "\n".join(line for line in result.stdout.splitlines() if "BROKEN" in line), result.stdout


def test_planted_cycle_is_found(copy_of_house: Path) -> None:
    (copy_of_house / "app" / "store" / "planted_one.py").write_text('"""One."""\n\nimport app.store.planted_two\n')
    (copy_of_house / "app" / "store" / "planted_two.py").write_text('"""Two."""\n\nimport app.store.planted_one\n')
    result = lint(copy_of_house)
    assert result.returncode != 0
    assert "No cycles" in "\n".join(line for line in result.stdout.splitlines() if "BROKEN" in line), result.stdout


@pytest.mark.parametrize("module", ["app.main", "app.services", "app.state.resolve", "app.commands.render"])
def test_importing_for_the_window_process_does_not_load_torch(module: str) -> None:
    """The contracts see import lines; this sees what really gets loaded."""
    code = f"import sys, {module}; heavy = {{'torch', 'librosa'}} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
