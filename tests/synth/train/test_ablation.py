"""The ablation study: stacked runs are the runs alone, pairs are pairs, and what is planted is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from synth.codec.model import Codec
from synth.codec.weights import save_weights
from synth.corpus.clip_file import Clip, audio_sha256, to_float32, to_int16, write_clip
from synth.corpus.manifest import ClipRecord, Corpus, clip_path
from synth.diffusion.conditioning import CONDITION_DIM
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from synth.evaluate.stage_tables import BASE, MEASURES, difference, read_results
from synth.features.analysis import analyse
from synth.spec import TECHNIQUES
from synth.ssl.encoder import LogMelEncoder, SslConfig, SslEncoder
from synth.train import ablation
from synth.train.ablation_data import Material, Windows, chosen_part
from synth.train.ablation_measures import Judge, kernel_distance
from synth.train.ablation_runs import Arm, RunPlan, StackRun, study_arms
from synth.train.latent_sound import LatentSound, guidance_scale
from synth.train.stacked import StackedDenoisers, sigma_of
from synth.train.stages import StageConfig
from tests.synth.features.voices import voice
from tests.tiny_weights import TINY_CODEC

DIM = TINY_CODEC.latent_dim
FRAMES = 48
PLAN = RunPlan(steps=44, batch=4, listened=2, evaluations=2, widths=(8, 8))
ARMS = {arm.name: arm for arm in study_arms()}


def windows(seed: int, n: int) -> Windows:
    """Latents that a part of the condition tells."""
    generator = torch.Generator().manual_seed(seed)
    condition = torch.randn(n, FRAMES, CONDITION_DIM, generator=generator)
    told = condition[..., :1].sum(1, keepdim=True) / FRAMES**0.5
    latents = 0.3 * torch.randn(n, FRAMES, DIM, generator=generator) + told
    return Windows(latents, condition, torch.full((n, FRAMES), 180.0), torch.ones(n, FRAMES))


def stack(arms: list[Arm], seeds: list[int], plan: RunPlan = PLAN) -> StackRun:
    torch.manual_seed(0)
    material = Material(windows(0, 16), windows(1, 4), windows(2, 4), torch.zeros(DIM), torch.ones(DIM), {})
    sound = LatentSound(Codec(TINY_CODEC), material.mean, material.std)
    ours, judge = (SslEncoder(SslConfig(dim=16, layers=1, heads=2, expansion=2)).requires_grad_(False) for _ in "ab")
    encoders = {"ours": ours, "log-mel": LogMelEncoder()}
    return StackRun(arms, seeds, material, sound, encoders, Judge(material, sound, judge), plan)


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    trained = stack([ARMS[BASE], ARMS["all three"], ARMS["all, log-mel"]], [0, 1])
    return trained.results(trained.train())


def test_a_row_of_the_stack_is_the_network_alone() -> None:
    config = PLAN.shape(DIM, "both")
    stacked = StackedDenoisers(config, [3, 4], "cpu")
    with torch.no_grad():
        for value in stacked.parameters.values():
            value.add_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel())))
    alone = Denoiser(config)
    state = {name.removeprefix("denoiser."): value[1] for name, value in stacked.parameters.items()}
    alone.load_state_dict(state, strict=False)
    generator = torch.Generator().manual_seed(0)
    x, condition = (torch.randn(2, 3, 16, n, generator=generator) for n in (DIM, CONDITION_DIM))
    u = torch.rand(2, 3, generator=generator)
    together = stacked.v(stacked.parameters, x, sigma_of(u), condition)[1]
    torch.testing.assert_close(
        together, alone(x[1], sigma_of(u[1]), alone.encode_condition(condition[1])), atol=1e-5, rtol=1e-4
    )


def test_runs_do_not_depend_on_what_they_are_stacked_with(runs: list[dict[str, Any]]) -> None:
    alone = stack([ARMS["all three"]], [1])
    (single,) = alone.results(alone.train())
    (together,) = [run for run in runs if run["arm"] == "all three" and run["seed"] == 1]
    for name in ("v_loss", "log_mel_db_4"):
        assert single["curve"][-1][name] == pytest.approx(together["curve"][-1][name], rel=1e-3)


def test_runs_of_a_seed_are_pairs_and_seeds_differ(runs: list[dict[str, Any]]) -> None:
    """Before any mechanism has acted, arms of a seed hold the same weights."""
    arms = [ARMS[BASE], ARMS["guidance"]]
    first = stack(arms, [0, 1]).stack.parameters
    name = next(name for name, value in first.items() if value.dim() == 3 and value[0].std() > 0)
    torch.testing.assert_close(first[name][0], first[name][2])
    assert not torch.equal(first[name][0], first[name][1])
    finals = [run["curve"][-1]["v_loss"] for run in runs]
    assert len(set(finals)) == len(finals)


def test_every_run_learns_and_is_measured(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        assert [row["step"] for row in run["curve"]] == sorted(PLAN.evaluated_steps())
        last = run["curve"][-1]
        assert last["v_loss"] < run["curve"][0]["v_loss"]
        assert set(last["pathways"]) >= {"everything", "nothing", "only pitch", "only noise"}
        assert np.isfinite([value(run) for _, value in MEASURES.values()]).all()
    json.dumps(runs, allow_nan=False)


def test_the_mechanisms_act_where_they_are_on(runs: list[dict[str, Any]]) -> None:
    tilt = {run["arm"]: run["track"][0][run["track_columns"].index("tilt")] for run in runs}
    assert tilt[BASE] == 0.0
    assert tilt["all three"] == pytest.approx(StageConfig().level_tilt)
    listened = [f"{what} by {name}" for name in ("ours", "log-mel") for what in ("regime", "log_d", "slope")]
    assert runs[0]["track_columns"][7:] == listened
    assert all(len(row) == len(run["track_columns"]) for run in runs for row in run["track"])


def test_the_study_tells_a_planted_effect_from_a_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """One arm is drawn towards silence; another is the static recipe itself with other beginnings and other data."""

    def towards_silence(self: StackRun, step: int, predicted: Tensor, windows: Windows) -> Tensor:
        rows = [i for i, member in enumerate(self.members) if member.arm.name == "planted"]
        return 10.0 * predicted[rows].square().mean((1, 2, 3)).sum()

    monkeypatch.setattr(StackRun, "_guide", towards_silence)
    plan = replace(PLAN, steps=24, evaluations=1)
    planted = stack([ARMS[BASE], Arm("planted")], list(range(5)), plan)
    found = planted.results(planted.train())
    worse = difference(found, "planted", "v_loss")
    assert (worse.verdict, worse.percent.n) == ("worse", 5)
    verdicts = []
    for first in (50, 60, 70):  # one null in twenty is decided by chance, so one of three may be
        other = stack([ARMS[BASE]], list(range(first, first + 5)), plan)
        null = [run | {"arm": "null", "seed": run["seed"] - first} for run in other.results(other.train())]
        verdicts.append(difference(found + null, "null", "v_loss").verdict)
    assert verdicts.count("undecided") >= 2, verdicts


def test_kernel_distance_is_unbiased_and_sees_a_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(2, 40, 6, generator=generator) for _ in range(60)]
    same = torch.stack([kernel_distance(a, b) for a, b in draws])
    assert abs(float(same.mean())) < 3 * float(same.std()) / len(same) ** 0.5
    assert float(kernel_distance(draws[0][0], draws[0][1] + 1.0)) > float(same.max())


def test_jobs_hold_every_run_once() -> None:
    place = ablation.Place(Path("a"), Path("b"), Path("c"), Path("d"))
    job = ablation.Job(place, "cpu", 1, (), (), PLAN)
    jobs = ablation.split_jobs(job, study_arms(), range(5), 30)
    made = [(arm.name, seed) for one in jobs for arm in one.arms for seed in one.seeds]
    assert sorted(made) == sorted((arm.name, seed) for arm in study_arms() for seed in range(5))
    assert all(len({arm.injection for arm in one.arms}) == 1 for one in jobs)
    assert max(len(one.arms) * len(one.seeds) for one in jobs) <= 30


def small_corpus(folder: Path) -> None:
    """Four clips of clean voice, two of them for training."""
    records = []
    for seed, split in enumerate(("train", "train", "validation", "validation")):
        audio = to_int16(voice(150.0 + 20.0 * seed, 1.2, hnr_db=25.0, seed=seed))
        analysis = analyse(to_float32(audio))
        technique = {
            f"technique.{name}": np.full(analysis.n_frames, name == "modal", np.float32) for name in TECHNIQUES
        }
        record = ClipRecord(
            id=f"clip-{seed}", kind="simulated", collection="c", technique={"modal": 1.0}, label="modal",
            split=split, family=f"f{seed}", licence="CC0-1.0", consent="given", attribution="",
            duration_s=analysis.n_frames / 100.0, seed=seed, sources=(), gains_db=(0.0,), sha256=audio_sha256(audio),
        )  # fmt: skip
        clip = Clip(to_float32(audio), dict(analysis.lanes) | technique, analysis.physical, analysis.f0, analysis.mfcc)
        write_clip(clip_path(folder, record.id), record.to_json(), audio, clip)
        records.append(record)
    Corpus(folder, records).save()


def command_line(folder: Path, *more: str) -> list[str]:
    """A study of the smallest size."""
    sizes = {"seeds": 1, "steps": 40, "ssl-seconds": 0.2, "ssl-batch": 2, "ssl-dim": 16, "ssl-layers": 1}
    sizes |= {"windows": 12, "asked": 4, "frames": 64, "batch": 4, "listened": 2, "evaluations": 2}
    line = ["ablation", "--corpus", str(folder / "corpus"), "--codec", str(folder / "codec.safetensors")]
    line += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    return [*line, "--run", str(folder / "run"), "--device", "cpu", "--widths", "8", "8", *more]


def save_codec(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    save_weights(folder / "codec.safetensors", Codec(TINY_CODEC), "codec", {"codec": TINY_CODEC.as_dict()})


def test_from_a_corpus_to_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_corpus(tmp_path / "corpus")
    save_codec(tmp_path, 0)
    trained: list[set[tuple[str, int]]] = []
    run_job = ablation.run_job
    monkeypatch.setattr(ablation, "run_job", lambda job: trained.append(job.names()) or run_job(job))
    monkeypatch.setattr("sys.argv", command_line(tmp_path, "--arms", BASE))
    ablation.main()
    monkeypatch.setattr("sys.argv", command_line(tmp_path, "--arms", BASE, "film"))
    ablation.main()
    assert trained == [{(BASE, 0)}, {("film", 0)}]  # what was there is kept
    found = read_results(tmp_path / "run" / "ablation.json")
    assert {run["arm"] for run in found["runs"]} == {BASE, "film"}
    assert set(found["encoders"]) == {"ours", "second seed", "judge", "untrained", "log-mel"}
    assert (found["material"]["train_windows"], found["material"]["window_frames"]) == (12, 64)
    monkeypatch.setattr("sys.argv", command_line(tmp_path, "--arms", BASE, "--steps", "41"))
    with pytest.raises(UserError, match="other sizes"):
        ablation.main()


def test_material_of_another_codec_or_corpus_is_never_taken(tmp_path: Path) -> None:
    def place() -> ablation.Place:
        return ablation.Place.of(ablation._parser().parse_args(command_line(tmp_path)[1:]))

    (tmp_path / "corpus").mkdir()
    manifest = tmp_path / "corpus" / "manifest.json"
    manifest.write_text("one")
    save_codec(tmp_path, 0)
    first = place()
    save_codec(tmp_path, 1)
    second = place()
    assert first.material != second.material
    assert (first.frames, first.encoders) == (second.frames, second.encoders)
    manifest.write_text("two")
    assert not {first.frames, first.encoders, first.material} & {place().frames, place().encoders, place().material}
    assert len({first.key, second.key, place().key}) == 3


def test_a_part_of_a_corpus_is_half_recorded_and_leaves_the_other_splits(tmp_path: Path) -> None:
    small_corpus(tmp_path)
    whole = Corpus.open(tmp_path)
    kinds = ("real", "simulated")
    records = [
        replace(record, id=f"{record.id}-{k}", kind=kinds[k % 2], split="train") for record in whole.records
        for k in range(20)
    ]  # fmt: skip
    part = chosen_part(Corpus(tmp_path, [*whole.split("validation"), *records]), 0.4)
    minutes = {kind: sum(r.duration_s for r in part.split("train") if r.kind == kind) / 60 for kind in kinds}
    assert all(0.2 <= value < 0.23 for value in minutes.values())
    assert part.split("validation") == whole.split("validation")


def test_encoders_of_any_scale_pull_alike() -> None:
    """A weight of guidance must mean the same with every encoder, or arms would differ by their encoders' scale."""
    material = windows(0, 4)
    sound = LatentSound(Codec(TINY_CODEC), torch.zeros(DIM), torch.ones(DIM))
    ours = SslEncoder(SslConfig(dim=16, layers=1, heads=2, expansion=2)).requires_grad_(False)
    noise = torch.randn(material.latents.shape, generator=torch.Generator().manual_seed(0))
    pulls = []
    for encoder in (LogMelEncoder(), ours):
        scale = guidance_scale(sound, encoder, material.latents, material.f0_hz)
        made = (material.latents + 0.5 * noise).requires_grad_(True)
        loss = scale * sound.discrepancy(encoder, made, material.latents, material.f0_hz).mean()
        pulls.append(float(torch.autograd.grad(loss, made)[0].square().mean().sqrt()))
    wanted = float(torch.autograd.grad((made - material.latents).square().mean(), made)[0].square().mean().sqrt())
    assert pulls == pytest.approx([wanted, wanted], rel=1e-3)
