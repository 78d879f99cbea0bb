"""The baseline learns on a tiny corpus, resumes, validates, and leaves a voice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from synth.baseline.model import WaveformConfig
from synth.baseline.voice import WaveformVoice
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.errors import UserError
from synth.evaluate.baseline import (
    GeneratedClip,
    WaveformSinger,
    evaluate_baseline,
    generate_clips,
    load_clips,
    save_clips,
)
from synth.evaluate.recordings import held_out
from synth.spec.audio import HOP_SAMPLES, WINDOW_FRAMES
from synth.train import baseline as trainer
from synth.train.loop import LoopConfig
from synth.train.run_log import read_log
from tests.synth.corpus.test_dataset import add_clip

TINY = WaveformConfig(
    channels=(8,) * 7, items=(1,) * 7, attention_heads=2, attention_features=4, modulation_features=16
)


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    records = [
        add_clip(folder, "a", "real", "modal", 150, 1),
        add_clip(folder, "b", "simulated", "growl", 150, 2),
        dataclasses.replace(add_clip(folder, "c", "real", "modal", 130, 3), split="validation"),
        dataclasses.replace(add_clip(folder, "d", "real", "modal", 60, 4), split="test"),
    ]
    Corpus(folder, records).save()
    return folder


def test_a_batch_is_a_function_of_its_generator(corpus_dir: Path) -> None:
    store = ClipStore(Corpus.open(corpus_dir), "train")
    scales = trainer.measure_scales(store)
    batches = [trainer.make_batch(store, scales, np.random.default_rng(seed), 3) for seed in (5, 5, 6)]
    assert batches[0]["audio"].shape == (3, WINDOW_FRAMES * HOP_SAMPLES)
    assert batches[0]["condition"].shape[:2] == (3, WINDOW_FRAMES)
    assert torch.isfinite(batches[0]["condition"]).all()
    assert all(torch.equal(batches[0][name], batches[1][name]) for name in batches[0])
    assert not torch.equal(batches[0]["audio"], batches[2]["audio"])


@pytest.mark.peers
@pytest.mark.slow
def test_it_learns_resumes_and_sings(corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_VALIDATION_EXCERPTS", 2)
    monkeypatch.setattr(trainer, "_STATISTICS_BATCHES", 1)
    for max_steps in (3, 6):
        loop = LoopConfig(minutes=10.0, max_steps=max_steps, report_every_steps=3, learning_rate=3e-3, warmup_steps=1)
        network, report = trainer.train_baseline(corpus_dir, tmp_path, loop, TINY, batch_size=2, use_bf16=False)
    assert report.steps == 6
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows] == [3, 6]
    assert rows[1]["validation"] < rows[0]["validation"]
    voice = WaveformVoice.load(tmp_path)
    kept = dict(network.net.named_parameters())
    assert all(torch.allclose(p, kept[n], atol=1e-2) for n, p in voice.network.net.named_parameters())
    singer = WaveformSinger(voice, n_steps=1)
    recordings = held_out(corpus_dir, None)
    figures = evaluate_baseline(singer, recordings)
    assert (figures.n_recordings, figures.n_parameters) == (1, voice.network.n_parameters)
    assert figures.measures["log_mel_db"].value > 0.0
    clips = generate_clips(singer, corpus_dir, 2)
    assert [(clip.recording_id, clip.seed) for clip in clips] == [("d", 0), ("d", 1)]
    assert not np.array_equal(clips[0].audio, clips[1].audio)
    save_clips(tmp_path / "clips.npz", clips)
    again = load_clips(tmp_path / "clips.npz")
    assert [(clip.recording_id, clip.label, clip.seed) for clip in again] == [("d", "modal", 0), ("d", "modal", 1)]
    assert np.abs(again[1].audio - np.clip(clips[1].audio, -1.0, 1.0)).max() < 1e-4


def test_a_damaged_file_of_clips_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    save_clips(whole, [GeneratedClip("d", "modal", 0, np.zeros(4_000, dtype=np.float32))])
    for content in (b"torn", whole.read_bytes()[:-40], whole.read_bytes()[:100]):
        (tmp_path / "clips.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"clips\.npz"):
            load_clips(tmp_path / "clips.npz")
