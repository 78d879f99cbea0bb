"""From a tiny corpus to a denoiser, its distillation and its refinement: everything runs, resumes, and learns."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from synth.codec.weights import save_weights
from synth.corpus import manifest
from synth.corpus.build import build_corpus
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.sampler import SamplingPlan, sample_window
from synth.diffusion.solvers import cosine_sigmas
from synth.diffusion.unet import Denoiser, DenoiserConfig
from synth.engine import CODEC_FILE, DENOISER_FILE, Engine, load_denoiser
from synth.train.control import ControlConfig, ControlRun, masked_distance, pooled, refine
from synth.train.diffusion import Statistics, draw_context, make_batch, train_diffusion
from synth.train.distill import (
    GUIDANCE,
    DistillConfig,
    DistillTask,
    Teacher,
    clean_estimate,
    ddim_step,
    distill,
    draw,
)
from synth.train.hearing import EDGE_FRAMES, HEARD_LANES, Heard, Hearing
from synth.train.latents import LatentStore, encode
from synth.train.loop import LoopConfig, train
from synth.train.requests import random_requests
from tests.conftest import ExpectedLogs
from tests.tiny_weights import TINY_CODEC, TINY_DENOISER, Codec


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    with pytest.MonkeyPatch.context() as patch:
        # A dozen clips, and yet some in every split.
        patch.setattr(manifest, "SIMULATED_SHARES", {"test": 0.1, "validation": 0.4})
        return build_corpus(tmp_path_factory.mktemp("corpus"), None, 0.9, seed=3, n_workers=0)


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    return Codec(TINY_CODEC).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def latents(corpus: Corpus, codec: Codec) -> LatentStore:
    return LatentStore(ClipStore(corpus, "validation"), codec, n_variants=2)


@pytest.fixture(scope="module")
def trained(corpus: Corpus, codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    loop = LoopConfig(minutes=5.0, max_steps=60, learning_rate=1e-2, report_every_steps=20, ema_decay=0.9)
    train_diffusion(corpus.folder, codec, folder, loop, shape=TINY_DENOISER, batch_size=8)
    save_weights(folder / CODEC_FILE, codec, "codec", {"codec": TINY_CODEC.as_dict()})
    return folder


def test_stored_latents_are_the_encoder_s(latents: LatentStore, codec: Codec) -> None:
    store = latents.store
    pad = 24
    for clip in (0, len(store.records) - 1):
        n_frames = store.n_frames(clip)
        arrays = store.excerpts(np.array([clip]), np.array([-pad]), n_frames + 2 * pad, np.zeros(1))
        alone = encode(codec, arrays)[0]
        generator = torch.Generator().manual_seed(0)
        kept, _ = latents.random_excerpts(generator, 4, 16, real_fraction=0.0)
        assert torch.isfinite(kept).all()
        first = int(latents._first[clip])
        stored = latents._latents[0, first : first + len(alone)].float().numpy()
        # The ends of a clip alone are padded with zeros, those of a clip among others with silence.
        np.testing.assert_allclose(stored[pad:-pad], alone[pad:-pad], atol=0.02)


def test_kept_latents_are_taken_up_until_something_changes(
    corpus: Corpus, codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_logs: ExpectedLogs
) -> None:
    store = ClipStore(corpus, "validation")

    def open_kept(of: Codec = codec, n_variants: int = 2) -> LatentStore:
        return LatentStore(store, of, n_variants=n_variants, kept_in=tmp_path)

    first = open_kept()
    with monkeypatch.context() as patch:
        patch.setattr(LatentStore, "_encode_all", None)  # would fail if it were called
        again = open_kept()
    assert torch.equal(first._latents, again._latents)
    assert torch.equal(first._gains_db, again._gains_db)

    other = copy.deepcopy(codec)
    with torch.no_grad():
        next(other.encoder.parameters()).add_(0.1)
    assert not torch.equal(open_kept(other)._latents, first._latents)
    open_kept(n_variants=1)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 3

    for path in kept:
        path.write_bytes(path.read_bytes()[:1_000])
    expected_logs.expect("cannot be read .* encoding again")
    assert torch.equal(open_kept()._latents, first._latents)


def test_silence_is_as_silent_at_every_level(latents: LatentStore) -> None:
    around = slice(0, 8)  # of the first clip's padding, where the encoder does not see the clip yet
    assert float(latents._gains_db[1, 0].abs()) > 0.1
    assert torch.equal(latents._latents[1, around], latents._latents[0, around])
    assert not torch.equal(latents._latents[1, 40:60], latents._latents[0, 40:60])


def test_excerpts_depend_on_the_generator_alone(latents: LatentStore) -> None:
    draws = [latents.random_excerpts(torch.Generator().manual_seed(4), 6, 32, real_fraction=0.5) for _ in range(2)]
    assert torch.equal(draws[0][0], draws[1][0])
    for name, values in draws[0][1].items():
        assert torch.equal(torch.nan_to_num(values.float()), torch.nan_to_num(draws[1][1][name].float()))


def test_the_mean_timbre_of_a_clip_is_over_where_somebody_sings(latents: LatentStore) -> None:
    store = latents.store
    arrays = store.excerpts(np.array([0]), np.array([0]), store.n_frames(0), np.zeros(1))
    sung = np.nan_to_num(arrays["lane.presence"][0]) > 0.5
    expected = arrays["mfcc"][0][sung].astype(np.float32).mean(0)
    np.testing.assert_allclose(latents._clip_mfcc[0].numpy(), expected, atol=0.02)


def test_context_frames_are_nearly_clean_and_not_learnt() -> None:
    sigma, learnt = draw_context(torch.Generator().manual_seed(0), torch.full((64,), 5.0), 48, 4)
    assert ((learnt == 1) == (sigma == 5.0)).all()
    assert (sigma[learnt == 0] < 0.12).all()
    heard = (learnt == 0).sum(1)
    assert (heard % 4 == 0).all()
    assert 8 < (heard > 0).sum() < 40
    # Heard frames come first, and something is always left to learn.
    assert (learnt.diff(dim=1) >= 0).all()
    assert (heard < 48).all()


def test_training_learns(trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    validation = [row["validation"] for row in rows if "validation" in row]
    assert validation[-1] < 0.97 * validation[0]


def test_batches_depend_on_the_step_alone(latents: LatentStore, trained: Path) -> None:
    statistics = Statistics.from_config(load_denoiser(trained / DENOISER_FILE)[1])
    rngs = [np.random.default_rng((0, step)) for step in (5, 5, 6)]
    first, again, other = (make_batch(latents, statistics, rng, batch_size=4) for rng in rngs)
    assert set(first) == {"latents", "condition", "sigma", "learnt", "noise", "f0_hz"}
    for name, values in first.items():
        assert torch.equal(values, again[name])
    assert not torch.equal(first["noise"][:, :8], other["noise"][:, :8])


def _stirred_denoiser() -> Denoiser:
    """Untrained, but with something in the layers that start at zero."""
    torch.manual_seed(1)
    model = Denoiser(TINY_DENOISER).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("n_steps", [1, 4])
def test_training_draws_and_guides_as_the_engine_does(n_steps: int) -> None:
    model = _stirred_denoiser()
    condition, noise = torch.randn(16, TINY_DENOISER.condition_dim), torch.randn(16, TINY_DENOISER.latent_dim)
    sampled = sample_window(model, condition.numpy(), noise.numpy(), SamplingPlan(n_steps))
    drawn = draw(model, condition[None], noise[None], n_steps)[0]
    np.testing.assert_allclose(drawn.numpy(), sampled, atol=1e-4)

    guided = sample_window(model, condition.numpy(), noise.numpy(), SamplingPlan(n_steps, guidance=GUIDANCE))
    assert np.abs(guided - sampled).max() > 1e-3
    teacher, x = Teacher(model, GUIDANCE, jumps=True), noise[None] * cosine_sigmas(n_steps)[0]
    for sigma, target in itertools.pairwise(cosine_sigmas(n_steps)):
        levels = torch.full((1, 16), sigma), torch.full((1, 16), target)
        x = ddim_step(x, teacher.clean(x, *levels, condition[None]), *levels)
    np.testing.assert_allclose(x[0].numpy(), guided, atol=1e-4)


def test_two_teacher_steps_are_one_student_step() -> None:
    model = _stirred_denoiser()
    teacher = Teacher(model, {}, jumps=False)
    condition = torch.randn(2, 16, TINY_DENOISER.condition_dim)
    x = 3.0 * torch.randn(2, 16, TINY_DENOISER.latent_dim)
    levels = cosine_sigmas(4)
    sigma, middle, target = (torch.full((2, 16), levels[i]) for i in (0, 1, 2))
    wanted = teacher.two_steps(x, (sigma, middle, target), condition)
    encoded = teacher.model.encode_condition(condition)
    with torch.no_grad():
        first = ddim_step(x, clean_estimate(teacher.model, x, sigma, sigma, encoded), sigma, middle)
        second = ddim_step(first, clean_estimate(teacher.model, first, middle, middle, encoded), middle, target)
    torch.testing.assert_close(ddim_step(x, wanted, sigma, target), second, atol=1e-4, rtol=1e-4)


def test_a_stage_brings_the_student_to_its_teacher(latents: LatentStore, trained: Path) -> None:
    model, stored = load_denoiser(trained / DENOISER_FILE)
    statistics = Statistics.from_config(stored)
    task = DistillTask(model, Teacher(model, {}, jumps=False), 1, (), 1.0, use_bf16=False)
    optimizer = torch.optim.Adam(task.student.parameters(), lr=5e-3)
    losses = []
    for step in range(60):
        torch.manual_seed(step % 3)
        loss, _ = task(make_batch(latents, statistics, np.random.default_rng(step % 3), batch_size=8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-6:]) < 0.85 * np.mean(losses[:3])


def test_the_whole_distillation_leaves_an_engine(corpus: Corpus, trained: Path, tmp_path: Path) -> None:
    config = DistillConfig(dict.fromkeys((8, 4, 2, 1), 0.01), 0.01, batch_size=4)
    model, reports = distill(corpus.folder, trained, tmp_path, config, "cpu")
    assert set(reports) == {"guidance", "8 steps", "4 steps", "2 steps", "1 steps"}
    assert all(report.steps > 0 for report in reports.values())
    shutil.copy(trained / CODEC_FILE, tmp_path / CODEC_FILE)
    engine = Engine.load(tmp_path, "cpu")
    assert engine.latent_dim == TINY_CODEC.latent_dim
    hashes = {Engine.load(tmp_path / f"steps-{n_steps}", "cpu").weights_hash for n_steps in (0, 8, 4, 2, 1)}
    assert len(hashes) == 5  # each stage is a model of its own, to judge the others beside
    noise = torch.randn(2, 16, TINY_DENOISER.latent_dim)
    condition = torch.randn(2, 16, TINY_DENOISER.condition_dim)
    with torch.no_grad():
        for n_steps in (1, 2, 4, 8):
            assert torch.isfinite(draw(model, condition, noise, n_steps)).all()


def test_a_stopped_distillation_begins_no_further_stage(
    corpus: Corpus, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_at_eight(task: DistillTask, batch: Any, loop: LoopConfig, run_dir: Path) -> Any:
        return train(task, batch, loop, run_dir, should_stop=lambda: run_dir.name == "steps-8")

    monkeypatch.setattr("synth.train.distill.train", stopped_at_eight)
    config = DistillConfig(dict.fromkeys((8, 4, 2, 1), 1.0), 0.005, batch_size=4)
    _, reports = distill(corpus.folder, trained, tmp_path, config, "cpu")
    assert [(name, report.stopped) for name, report in reports.items()] == [("guidance", False), ("8 steps", True)]
    assert load_denoiser(tmp_path / DENOISER_FILE)[1]["distilled"]["numbers_of_steps"] == []


def test_refinement_hears_itself_and_leaves_figures(
    corpus: Corpus, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refined() -> list[dict[str, Any]]:
        refine(
            corpus.folder, trained, tmp_path, minutes=0.01, device="cpu", n_workers=1,
            config=ControlConfig(16, 2, 4, first_steps=3, reader_batch=8, control_batch=4, kept_batch=4),
        )  # fmt: skip
        return json.loads((tmp_path / "control.json").read_text())

    rounds = refined()
    assert ["reader_explains" in one for one in rounds] == [True, False]
    assert set(rounds[0]["lanes"]) == set(HEARD_LANES)
    assert np.isfinite([figures["error"] for figures in rounds[0]["lanes"].values()]).all()
    before, after = load_denoiser(trained / DENOISER_FILE)[0], load_denoiser(tmp_path / DENOISER_FILE)[0]
    moved = [float((a - b).abs().max()) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert max(moved) > 0.0
    # A second call finds the time over: it keeps the round that is done, and listens once more.
    monkeypatch.setattr(Hearing, "start", lambda codec, n_workers: Hearing(codec, ThreadPoolExecutor(n_workers)))
    again = refined()
    assert again[0] == rounds[0]
    assert [one["round"] for one in again] == [0, 1]
    assert "reader_explains" not in again[1]


def _heard(seed: int, n: int) -> Heard:
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn((n, 112, TINY_DENOISER.latent_dim), generator=random)
    return Heard(latents, torch.full((n, 112), 200.0), torch.rand((n, 112, len(HEARD_LANES)), generator=random))


def test_the_reader_is_judged_by_windows_it_never_learnt_from(
    corpus: Corpus, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[set[bytes]] = []
    learnt: set[bytes] = set()

    def listen(run: ControlRun, n: int, n_steps: int) -> tuple[Any, Tensor, Tensor]:
        requests = random_requests(run.statistics, torch.Generator().manual_seed(0), n)
        heard = _heard(len(judged), n)
        return replace(requests, f0_hz=heard.f0_hz), heard.latents, heard.lanes

    def teach(_run: ControlRun, heard: Heard, kept: Heard, _n_steps: int) -> dict[str, float]:
        learnt.update(window.numpy().tobytes() for window in heard.latents)
        judged.append({window.numpy().tobytes() for window in kept.latents})
        return {}

    clock = itertools.count()
    monkeypatch.setattr("synth.train.control.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(ControlRun, "listen", listen)
    monkeypatch.setattr(ControlRun, "teach_reader", teach)
    monkeypatch.setattr(ControlRun, "move_network", lambda _run, _n_steps: {})
    refine(
        corpus.folder, trained, tmp_path, minutes=0.25, device="cpu", config=ControlConfig(n_windows=20, first_steps=1)
    )
    assert len(judged) >= 3
    assert all(len(kept) == 8 for kept in judged)
    assert not learnt & set().union(*judged)


def test_a_lane_that_could_not_be_measured_moves_nothing(latents: LatentStore, trained: Path) -> None:
    model, stored = load_denoiser(trained / DENOISER_FILE)
    hearing = Hearing(Codec(TINY_CODEC), ThreadPoolExecutor(1))
    statistics = Statistics.from_config(stored)
    run = ControlRun(model, model, statistics, latents, hearing, ControlConfig(kept_batch=2))
    heard = _heard(0, 12)
    silent = HEARD_LANES.index("fry")
    heard.lanes[..., silent] = torch.nan
    kept, learnt = heard.split(4)
    explained = run.teach_reader(learnt, kept, 1)
    assert explained["fry"] == 0.0
    assert np.isfinite(list(explained.values())).all()
    assert float(run.lane_weight[silent]) == 0.0
    requests = random_requests(statistics, torch.Generator().manual_seed(0), 12)
    assert "fry" not in run.report(requests, heard.lanes)


def test_lanes_that_lag_weigh_more_and_the_corpus_teaches_what_it_was_labelled_with(
    latents: LatentStore, trained: Path
) -> None:
    model, stored = load_denoiser(trained / DENOISER_FILE)
    hearing = Hearing(Codec(TINY_CODEC), ThreadPoolExecutor(1))
    run = ControlRun(model, model, Statistics.from_config(stored), latents, hearing, ControlConfig(reader_batch=4))
    figures = {name: {"correlation": 0.9} for name in HEARD_LANES if name != "tract"}
    run.favour_the_lagging(figures | {"fry": {"correlation": 0.5}})
    weight = dict(zip(HEARD_LANES, run.lane_weight.tolist(), strict=True))
    assert weight["fry"] == pytest.approx(5 * weight["loudness"])
    assert weight["tract"] == 0.0  # measured nowhere
    heard = run._corpus_heard(6)
    assert heard.lanes.shape == (6, 112, len(HEARD_LANES))
    sung = torch.isfinite(heard.lanes[..., HEARD_LANES.index("loudness")])
    assert sung.any()
    before = [parameter.clone() for parameter in run.reader.parameters()]
    run.begin_reader(1)
    assert any(not torch.equal(a, b) for a, b in zip(before, run.reader.parameters(), strict=True))


def test_requests_stay_in_range_and_count_where_somebody_sings(trained: Path) -> None:
    _, stored = load_denoiser(trained / DENOISER_FILE)
    requests = random_requests(Statistics.from_config(stored), torch.Generator().manual_seed(0), 200)
    assert requests.wanted[:, :EDGE_FRAMES].sum() == 0
    assert float(requests.wanted.mean()) > 0.6
    for index, name in enumerate(HEARD_LANES):
        values = requests.lanes[..., index]
        low, high = (-3.0, -0.45) if name == "loudness" else (0.0, 1.0)
        assert float(values.min()) >= low - 1e-5
        assert float(values.max()) <= high + 1e-5
        assert float(values.std()) > 0.1
    assert torch.isfinite(requests.condition).all()


def test_pooling_and_distance_skip_what_is_not_there() -> None:
    values = torch.ones((1, 44, 2))
    weight = torch.ones((1, 44, 1))
    weight[:, 22:] = 0.0
    means = pooled(values, weight)
    assert torch.isfinite(means[:, 0]).all()
    assert torch.isnan(means[:, 1]).all()
    wanted = means + 0.5
    assert float(masked_distance(means, wanted, torch.ones(2))) == pytest.approx(0.475)
    assert DenoiserConfig.from_dict(TINY_DENOISER.as_dict()) == TINY_DENOISER
