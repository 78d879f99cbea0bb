"""`stridor train` and `stridor distill` as a person meets them: progress, reports, and one line for every trouble."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import synth.train.ssl as ssl_training
from synth.codec.model import Codec
from synth.codec.weights import save_weights
from synth.ssl.encoder import SslConfig, SslEncoder
from synth.train.loop import LoopConfig, LoopReport, train
from synth.train.ssl import save_encoder
from tests.app.commands.conftest import Program
from tests.synth.train.two_processes import TwoLayers, make_batch
from tests.tiny_weights import TINY_CODEC


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Not read by the stand-in below."""
    return tmp_path / "corpus"


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real loop on a small task in place of the encoder's training, whose model is too large for a test."""

    def instead(
        corpus_dir: Path, run_dir: Path, loop: LoopConfig, config: object = None, *, device: object = "cpu"
    ) -> tuple[None, LoopReport]:
        torch.manual_seed(loop.seed)
        settings = LoopConfig(
            minutes=loop.minutes, max_steps=round(loop.minutes * 20), report_every_steps=10, device=str(device)
        )
        return None, train(TwoLayers(), make_batch, settings, run_dir)[1]

    monkeypatch.setattr(ssl_training, "train_ssl", instead)


def words(run: Path, corpus: Path, *more: str) -> list[str]:
    return ["train", "ssl", "--corpus", str(corpus), "--run", str(run), "--device", "cpu", "--threads", "1", *more]


@pytest.mark.usefixtures("short_training")
def test_a_training_reports_resumes_and_is_plotted(stridor: Program, corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = stridor(*words(run, corpus, "--minutes", "1"))
    assert first.status == 0, first.err
    assert "20 steps" in first.out
    assert "peak memory" in first.out
    second = stridor(*words(run, corpus, "--minutes", "2", "--json"))
    found = json.loads(second.out)
    assert found["steps"] == 40
    assert found["peak_memory_mb"] > 10.0
    assert "resumed at step 20" in second.err
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40]
    assert rows[-1].keys() >= {"loss", "learning_rate", "grad_norm", "steps_per_s", "left_s"}


@pytest.mark.evaluation
@pytest.mark.usefixtures("short_training")
def test_the_plot_is_a_picture(stridor: Program, corpus: Path, tmp_path: Path) -> None:
    stridor(*words(tmp_path / "run", corpus, "--minutes", "1"))
    ran = stridor("train", "plot", str(tmp_path / "run"), "-o", str(tmp_path / "loss.png"), "--json")
    assert ran.status == 0, ran.err
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(ran.out)["last"]["run"]["step"] == 20


@pytest.mark.usefixtures("short_training")
def test_one_line_for_every_trouble(stridor: Program, corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert stridor(*words(run, corpus, "--minutes", "1")).status == 0
    others = ["train", "codec", "--corpus", str(corpus), "--run", str(run)]
    missing = ["train", "codec", "--corpus", str(corpus), "--run", str(tmp_path / "new"), "--device", "cpu"]
    troubles = {
        "is the folder of `ssl`, not of `codec`": others,
        "There is no corpus": missing,
        "holds no log of a training": ["train", "plot", str(tmp_path / "empty")],
        "There is no device called 'abacus'": words(run, corpus, "--device", "abacus"),
    }
    if not torch.cuda.is_available():
        troubles["There is no CUDA device here"] = words(run, corpus, "--device", "cuda")
    for line, asked in troubles.items():
        ran = stridor(*asked)
        assert ran.status == 2, asked
        assert line in ran.err
        assert "Traceback" not in ran.err


@pytest.mark.usefixtures("short_training")
def test_a_damaged_checkpoint_is_named(stridor: Program, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"torn")
    ran = stridor(*words(tmp_path / "run", corpus))
    assert ran.status == 2
    assert "checkpoint.safetensors cannot be resumed" in ran.err


def test_several_processes_get_the_same_words(
    stridor: Program, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def note(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("app.commands.training.subprocess.run", note)
    ran = stridor(*words(tmp_path, corpus, "--processes", "2", "--target", "spectrogram", "--json"))
    assert ran.status == 3
    (command,) = asked
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    ours = command[command.index("app.main") + 1 :]
    assert ours[:2] == ["train", "ssl"]
    assert "--processes" not in ours
    given = {name: ours[ours.index(name) + 1] for name in ("--target", "--corpus", "--run")}
    assert given == {"--target": "spectrogram", "--corpus": str(corpus), "--run": str(tmp_path)}
    assert "--json" in ours


def test_what_is_told_reaches_the_recipe(
    stridor: Program, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every training gets the options it shows."""
    told: dict[str, Any] = {}
    report = LoopReport(steps=7, seconds=60.0, loss=0.5, peak_memory_mb=100.0, micro_batches=4, skipped_steps=2)

    def instead(network: object) -> Callable[..., tuple[object, LoopReport]]:
        def take(corpus_dir: Path, *positional: Any, **named: Any) -> tuple[object, LoopReport]:
            loop = next(value for value in positional if isinstance(value, LoopConfig))
            told.update(named, corpus=corpus_dir, minutes=loop.minutes, seed=loop.seed, device=loop.device)
            return network, report

        return take

    monkeypatch.setattr("synth.train.codec.train_codec", instead(None))
    ran = stridor(
        "train", "codec", "--corpus", str(corpus), "--run", str(tmp_path), "--minutes", "3", "--seed", "5",
        "--device", "cpu", "--batch", "6", "--no-bf16", "--adversarial",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    expected: Mapping[str, Any] = {
        "corpus": corpus, "minutes": 3.0, "seed": 5, "device": "cpu", "batch_size": 6, "use_bf16": False,
        "adversarial": True,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    assert "batches in 4 parts" in ran.out
    assert "2 steps without a finite gradient" in ran.out


def test_stages_reach_the_denoiser_s_training(
    stridor: Program, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def instead(*_: object, **options: Any) -> tuple[None, LoopReport]:
        given.append(options)
        return None, LoopReport(1, 1.0, 1.0, 1.0)

    monkeypatch.setattr("synth.train.diffusion.train_diffusion", instead)
    torch.manual_seed(0)
    save_weights(tmp_path / "codec.safetensors", Codec(TINY_CODEC), "codec", {"codec": TINY_CODEC.as_dict()})
    save_encoder(tmp_path / "ssl.safetensors", SslEncoder(SslConfig(dim=16, layers=1, heads=2)), {})
    line = ["train", "diffusion", "--corpus", str(corpus), "--run", str(tmp_path / "run"), "--device", "cpu"]
    line += ["--codec", str(tmp_path / "codec.safetensors")]
    for more in ([], ["--stages", "levels", "--ssl", str(tmp_path / "ssl.safetensors")]):
        found = stridor(*line, *more)
        assert found.status == 0, found.err
    assert given[0]["stages"] is given[0]["ear"] is None
    assert (given[1]["stages"].adaptive_levels, given[1]["stages"].ssl_guidance) == (True, False)
    assert isinstance(given[1]["ear"], SslEncoder)
    wrong = stridor(*line, "--stages", "all", "--ssl", str(tmp_path / "nowhere"))
    assert wrong.status != 0
    assert "nowhere" in wrong.err
