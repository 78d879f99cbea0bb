"""The renderer over the true engine, untrained and small: the contract between them, and that order leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.render.cache import CellCache
from app.render.clip import Clip
from app.render.grid import n_samples_of
from app.render.renderer import Renderer, RenderJob, RenderRequest
from app.state.passage import Lane, Note, Passage, Voice
from synth.codec.model import Codec, CodecConfig
from synth.diffusion.sampler import sample_window
from synth.diffusion.unet import Denoiser, DenoiserConfig
from synth.engine import Engine
from synth.errors import Cancelled, UserError

# The engine's own threads, which end with it.
pytestmark = pytest.mark.leaves("sampler_")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    torch.manual_seed(0)
    codec = Codec(CodecConfig(encoder_dim=32, encoder_blocks=1, decoder_dim=32, decoder_blocks=1))
    dim = codec.config.latent_dim
    shape = DenoiserConfig(dim, widths=(32, 32), blocks_per_level=1, middle_blocks=2, film_dim=32, heads=2)
    denoiser = Denoiser(shape)
    config = {
        "latent_mean": [0.0] * codec.config.latent_dim,
        "latent_std": [1.0] * codec.config.latent_dim,
        "timbre_mean": [0.0] * 16,
        "timbre_std": [1.0] * 16,
    }
    made = Engine(codec.eval().requires_grad_(False), denoiser.eval().requires_grad_(False), config, "none", "cpu", 2)
    yield made
    made.close()


def _passage() -> Passage:
    return Passage(3.3, voices=(Voice(seed=7, notes=(Note(0.3, 1.0, 50.0), Note(1.6, 1.5, 57.5))),))


def _scratch(engine: Engine, folder: Path, passage: Passage) -> np.ndarray:
    clip = Clip(folder, n_samples_of(passage.duration_s), 0)
    report = Renderer(engine, CellCache()).render(RenderRequest(passage, {}), clip)
    assert report.cells_sampled == 5
    return clip.read_mix(0, clip.n_samples)


def test_edits_leave_no_trace_of_their_order(engine: Engine, tmp_path: Path) -> None:
    first = _passage()
    rough = Lane(((0.3, 0.0), (0.4, 0.9), (0.5, 0.0)))
    bend = Lane(((2.5, 0.0), (2.6, 2.0), (2.7, 0.0)))
    voice = first.voices[0]
    last = first.with_voice(0, replace(voice, lanes={"roughness": rough, "bend": bend}))
    wanted = _scratch(engine, tmp_path, last)
    assert np.isfinite(wanted).all()
    assert np.abs(wanted).max() > 0
    renderer = Renderer(engine, CellCache(tmp_path / "cells"))
    clip = Clip(tmp_path, n_samples_of(first.duration_s), 1)
    for lanes, n_sampled in (({}, 5), ({"bend": bend}, 2), ({"bend": bend, "roughness": rough}, 1)):
        passage = first.with_voice(0, replace(voice, lanes=lanes))
        assert renderer.render(RenderRequest(passage, {}, playhead_s=2.0), clip).cells_sampled == n_sampled
    assert np.array_equal(clip.read_mix(0, clip.n_samples), wanted)


def test_the_engine_hears_a_stop_between_its_steps(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without threads: with them, one so small has often sung before anybody asks.
    engine.close()
    monkeypatch.setattr(engine, "_n_threads", 1)
    clip = Clip(tmp_path, n_samples_of(3.3), 0)
    job = RenderJob(engine, CellCache(), RenderRequest(_passage(), {}, "final"), clip)
    job.plan()
    asked = 0

    def stop_at_third() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    with pytest.raises(Cancelled):
        job.step(stop_at_third)
    assert asked == 3


def test_a_full_gpu_is_left_for_the_processor_and_said_so(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = _scratch(engine, tmp_path, _passage())
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(engine, "on_trouble", lambda *words: told.append(words))
    monkeypatch.setattr(engine, "device", torch.device("cuda"))
    monkeypatch.setattr(engine, "device_name", "cuda")
    monkeypatch.setattr(engine, "_n_threads", 1)
    engine.close()
    full = iter([True])

    def sometimes_full(*arguments: Any) -> np.ndarray:
        if next(full, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sample_window(*arguments)

    monkeypatch.setattr("synth.engine.sample_window", sometimes_full)
    cache = CellCache()
    clip = Clip(tmp_path, n_samples_of(_passage().duration_s), 0)
    report = Renderer(engine, cache).render(RenderRequest(_passage(), {}), clip)
    assert report.device == "cpu"
    assert [message for message, _ in told] == [
        "The memory of cuda is full; the voice goes on, slower, on the processor."
    ]
    assert np.array_equal(clip.read_mix(0, clip.n_samples), wanted)
    # What the processor made is not kept as the GPU's.
    monkeypatch.setattr(engine, "device_name", "cuda")
    again = Clip(tmp_path, n_samples_of(_passage().duration_s), 0)
    assert Renderer(engine, cache).render(RenderRequest(_passage(), {}), again).cells_from_cache == 0


@pytest.mark.parametrize(
    "refusal",
    [RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), MemoryError()],
)
def test_a_full_processor_is_one_clear_line(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def full(*_arguments: Any) -> np.ndarray:
        raise refusal

    monkeypatch.setattr("synth.engine.sample_window", full)
    clip = Clip(tmp_path, n_samples_of(_passage().duration_s), 0)
    with pytest.raises(UserError, match="not enough memory"):
        Renderer(engine, CellCache()).render(RenderRequest(_passage(), {}), clip)
