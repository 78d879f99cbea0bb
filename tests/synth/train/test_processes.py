"""Two processes on two CPUs take the steps that one takes on the whole batch."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from synth.errors import UserError
from synth.train.processes import Processes, launch_command
from synth.train.run_log import read_log

REPOSITORY = Path(__file__).resolve().parents[3]
_ROOMY = 1_000
SCRIPT = Path(__file__).with_name("two_processes.py")


def assert_alike(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        assert torch.allclose(value, wanted[name], rtol=0.0, atol=tolerance), name


def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    """Parameters stay bitwise equal between the processes, and equal to one process's to rounding.

    Also where one of them has no room: nine rows are four and five, and five are refused in the second training, so
    that both must go in parts.
    """
    folders = {name: tmp_path / name for name in ("one", "two", "short")}
    for folder in folders.values():
        folder.mkdir()
    runpy.run_path(str(SCRIPT))["run"](folders["one"], _ROOMY)
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launch_command(2), str(SCRIPT), str(folders["two"]), str(_ROOMY), str(folders["short"]), "5"],
        env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]

    one = load_file(folders["one"] / "rank0.safetensors")
    assert not torch.allclose(one["model.layers.0.weight"], one["ema.layers.0.weight"], atol=1e-4)
    for name in ("two", "short"):
        first, second = (load_file(folders[name] / f"rank{rank}.safetensors") for rank in (0, 1))
        assert_alike(first, second, 0.0)
        assert_alike(first, one, 2e-6)
    alone, shared = (read_log(folders[name] / "run") for name in ("one", "two"))
    assert [row["step"] for row in alone] == [row["step"] for row in shared] == [4, 8, 12]
    assert shared[-1]["loss"] == pytest.approx(alone[-1]["loss"], rel=1e-4)
    assert "2 parts a batch" in done.stderr


def test_a_batch_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(UserError, match="3 processes"):
        Processes(0, 3).share({"x": torch.zeros(2, 1)})
