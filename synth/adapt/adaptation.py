"""From recordings to an adapter, from end to end: gather, rehearse, train, choose, judge, write.

Everything lies in the run's folder: `adaptation.json` (what was asked, so that nobody goes on with something else),
`corpus`, `rehearsal-SEED.safetensors`, `stage-N` (checkpoints and logs), and at the end `adapter.safetensors`,
`report.json` and `previews`. The same call goes on where an earlier one was stopped.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from synth.adapt.figures import write_json
from synth.adapt.judge import (
    Judged,
    compared,
    everywhere,
    heard,
    judge,
    judging_plan,
    recordings_of,
    write_previews,
)
from synth.adapt.listening import N_HEARD, Listener, OnPreview
from synth.adapt.material import Material, Progress, gather_material
from synth.adapt.rehearsal import Rehearsal, draw_rehearsal
from synth.adapt.training import (
    AdaptRecipe,
    Base,
    Clock,
    Layers,
    Trained,
    make_adapt_batch,
    train_adapter,
)
from synth.adapters.file import Adapter, AdapterInfo, save_adapter
from synth.adapters.layout import checked_regions
from synth.atomic import replace_durably
from synth.codec.model import Codec
from synth.codec.weights import content_hash
from synth.corpus.dataset import ClipStore
from synth.corpus.importers.layouts import Terms
from synth.diffusion.sampler import SamplingPlan
from synth.engine import CODEC_FILE, DEFAULT_WEIGHTS_DIR, DENOISER_FILE, Engine, load_codec, load_denoiser
from synth.errors import UserError
from synth.train.descent import Batch, resolve_device
from synth.train.diffusion import Statistics
from synth.train.latents import KEPT_LATENTS, LatentStore

log = logging.getLogger(__name__)

ADAPTER_FILE: Final = "adapter.safetensors"
REPORT_FILE: Final = "report.json"
ASKED_FILE: Final = "adaptation.json"
_REHEARSAL_FILE: Final = "rehearsal-{seed}.safetensors"
_HELD_OUT_SIZE: Final = 48
_REHEARSAL_STEPS: Final = {True: 4, False: 12}  # of a distilled base, and of another


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for.

    paths            folders or files of recordings
    minutes          of training; importing, measuring and judging come on top
    most_minutes     of recordings to learn from; the others are held out
    shared           folder of corpus and rehearsal that several runs may share; None: the run's own
    n_rehearsed      windows of other techniques that the base draws for rehearsal
    n_judged         recordings that are sung again, at most
    preview_every_s  how often a held-out phrase is sung while it trains; None: never
    previews         where to; None: previews/while-training in the run's folder
    """

    paths: tuple[Path, ...]
    technique: str
    terms: Terms
    run: Path
    name: str
    weights: Path | None = None
    minutes: float = 8.0
    recipe: AdaptRecipe = field(default_factory=AdaptRecipe)
    most_minutes: float | None = None
    n_rehearsed: int = 128
    n_judged: int = 10
    n_workers: int = 0
    device: str = "auto"
    max_steps: int = 10**9
    clock: Clock = "wall"
    shared: Path | None = None
    preview_every_s: float | None = None
    previews: Path | None = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of it. adapter and path are None where training was stopped before its time."""

    material: Material
    trained: Trained
    adapter: Adapter | None
    path: Path | None
    report: dict[str, Any]


def load_base(weights: Path | None, device: torch.device) -> tuple[Base, Codec]:
    """The voice in a folder of weights. UserError for one that cannot be adapted."""
    folder = weights or DEFAULT_WEIGHTS_DIR
    denoiser, config = load_denoiser(folder / DENOISER_FILE)
    if "patch" not in config["denoiser"]:
        raise UserError(f"The voice in {folder} is too old to be adapted.", remedy="Give newer weights by --weights.")
    codec = load_codec(folder / CODEC_FILE).to(device)
    whole, own = content_hash(folder / CODEC_FILE, folder / DENOISER_FILE), content_hash(folder / DENOISER_FILE)
    statistics = Statistics.from_config({"technique_timbre": {}} | config)  # not every voice knows typical timbres
    return Base(denoiser.to(device), config, statistics, own, whole), codec


def adapt(
    wanted: Wanted,
    *,
    on_progress: Progress = lambda _what, _share: None,
    should_stop: Callable[[], bool] = lambda: False,
    on_material: Callable[[Material], None] = lambda _material: None,
    on_preview: OnPreview = lambda _preview: None,
) -> Adapted:
    """Do all of it, or go on. UserError in one line for whatever a person can mend."""
    checked_regions(wanted.recipe.regions)
    with _plain_disk_faults(wanted.run):
        return _adapt(wanted, on_progress, should_stop, on_material, on_preview)


def _adapt(
    wanted: Wanted, on_progress: Progress, should_stop: Callable[[], bool],
    on_material: Callable[[Material], None], on_preview: OnPreview,
) -> Adapted:  # fmt: skip
    watch, began_s = _stopwatch(), _processor_s()
    device = resolve_device(wanted.device)
    base, codec = load_base(wanted.weights, device)
    _claim(wanted, base)
    material = gather_material(
        wanted.paths, wanted.technique, wanted.terms, wanted.shared or wanted.run,
        most_minutes=wanted.most_minutes, n_workers=wanted.n_workers, on_progress=on_progress,
    )  # fmt: skip
    on_material(material)
    gathered_s = watch()
    latents, held_out = encoded(material, codec, base)
    rehearsal = _rehearsal(wanted, base, on_progress)
    listener = _listener(wanted, base, codec, material, on_preview)
    prepared_s = watch()
    trained = train_adapter(
        base, latents, rehearsal, held_out, wanted.recipe, wanted.run,
        minutes=wanted.minutes, max_steps=wanted.max_steps, clock=wanted.clock,
        should_stop=should_stop, listen=listener,
    )  # fmt: skip
    nearest = listener.nearest() if listener is not None else None
    if nearest is not None:
        trained = replace(trained, candidates={**trained.candidates, "nearest": nearest})
    report: dict[str, Any] = {
        "name": wanted.name, "material": material.as_dict(), "recipe": wanted.recipe.as_dict(),
        "base_hash": base.base_hash, "weights_hash": base.weights_hash,
        "parameters": trained.n_trained, "share": trained.share,
        "training": {name: asdict(stage) for name, stage in trained.reports.items()}, "details": trained.details,
        "seconds": {"gathering": gathered_s, "rehearsing": prepared_s - gathered_s, "training": trained.seconds},
    }  # fmt: skip
    if trained.stopped:
        return Adapted(material, trained, None, None, report | {"stopped": True})
    done = _finish(wanted, base, codec, material, trained, report, on_progress)
    report["processor_s"] = _processor_s() - began_s
    write_json(wanted.run / REPORT_FILE, report)
    return done


def _stopwatch() -> Callable[[], float]:
    """Seconds since it was made."""
    started_s = time.monotonic()
    return lambda: time.monotonic() - started_s


def _processor_s() -> float:
    """Processor time of this process and of those it has waited for: what an adaptation costs on a busy machine."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def encoded(material: Material, codec: Codec, base: Base) -> tuple[LatentStore, Batch]:
    """Latents of what is learnt, and a fixed batch of the validation split."""
    latents = LatentStore(ClipStore(material.corpus, "train"), codec, kept_in=material.corpus.folder / KEPT_LATENTS)
    kept = LatentStore(ClipStore(material.corpus, "validation"), codec, n_variants=1)
    recipe = AdaptRecipe(batch_size=_HELD_OUT_SIZE, rehearsal=0.0)
    # The first few seeds may draw short windows; any whole one is as good as another.
    for seed in range(64):
        batch = make_adapt_batch(kept, base, None, recipe, np.random.default_rng((7, seed)))
        if batch["latents"].shape[1] > 100:
            return latents, batch
    raise RuntimeError("64 batches in a row were short")


def _claim(wanted: Wanted, base: Base) -> None:
    """Write down what was asked for, or see that it is the same as before. UserError where it is not."""
    asked = {
        "paths": [str(path.resolve()) for path in wanted.paths], "technique": wanted.technique,
        "base_hash": base.base_hash, "recipe": wanted.recipe.as_dict(), "most_minutes": wanted.most_minutes,
    }  # fmt: skip
    path = wanted.run / ASKED_FILE
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if before != json.loads(json.dumps(asked)):
            changed = [key for key in asked if not isinstance(before, dict) or before.get(key) != asked[key]]
            raise UserError(
                f"{wanted.run} is the folder of another adaptation ({', '.join(changed) or 'unreadable'}).",
                remedy="Give another --run folder.",
            )
        return
    write_json(path, asked)


def _rehearsal(wanted: Wanted, base: Base, on_progress: Progress) -> Rehearsal | None:
    """Drawn once a run, and kept: a run that goes on rehearses the same."""
    if wanted.recipe.rehearsal <= 0.0 or wanted.n_rehearsed < 1:
        return None
    path = (wanted.shared or wanted.run) / _REHEARSAL_FILE.format(seed=wanted.recipe.seed)
    device = base.denoiser.device
    if path.is_file():
        try:
            kept = load_file(path, device=str(device))
            return Rehearsal(kept["latents"].float(), kept["condition"])
        except (SafetensorError, OSError, KeyError) as fault:
            log.warning("%s cannot be read (%s): drawing it again", path, fault)
    on_progress("rehearsing", 0.0)
    is_distilled = bool(base.jumps)
    drawn = draw_rehearsal(
        base.denoiser, base.statistics, wanted.n_rehearsed, wanted.technique, jumps=is_distilled,
        n_steps=_REHEARSAL_STEPS[is_distilled], seed=wanted.recipe.seed, use_bf16=wanted.recipe.use_bf16,
    )  # fmt: skip
    temporary = path.with_name(path.name + ".part")
    save_file({"latents": drawn.latents.half().cpu(), "condition": drawn.condition.cpu()}, temporary)
    replace_durably(temporary, path)
    return Rehearsal(drawn.latents.half().float(), drawn.condition)


def _listener(wanted: Wanted, base: Base, codec: Codec, material: Material, on_preview: OnPreview) -> Listener | None:
    """What sings previews of the validation split, after it has sung the base's; None where none are wanted."""
    if wanted.preview_every_s is None:
        return None
    least_s = min(1.0, max(record.duration_s for record in material.corpus.split("validation")))
    found = recordings_of(material.corpus, "validation", N_HEARD, least_s=least_s)
    reals = [real for real, _ in heard(found)]
    if not reals:
        log.warning("nobody sings in the validation recordings: there are no previews")
        return None
    info = _info(wanted, base, material)
    folder = wanted.previews or wanted.run / "previews" / "while-training"
    listener = Listener(
        engine_of(base, codec), judging_plan(base.config), info, reals, folder,
        every_s=wanted.preview_every_s, on_preview=on_preview,
    )  # fmt: skip
    listener.begin()
    return listener


def engine_of(base: Base, codec: Codec) -> Engine:
    """What sings the base, and adapters that were made for it, on one thread."""
    engine = Engine(codec, base.denoiser, dict(base.config), base.weights_hash, base.denoiser.device.type, 1)
    engine.adapters.base_hash = base.base_hash
    return engine


def _info(wanted: Wanted, base: Base, material: Material) -> AdapterInfo:
    """What is known of an adapter before it has been trained."""
    recipe = wanted.recipe
    layered = recipe.method not in ("sara", "full")
    return AdapterInfo(
        name=wanted.name, method=recipe.method, base_hash=base.base_hash, regions=recipe.regions,
        technique=wanted.technique, licence=wanted.terms.licence, consent=wanted.terms.consent,
        author=wanted.terms.attribution, rank=recipe.rank if layered else 0, alpha=recipe.alpha if layered else 0.0,
        features={name: round(mean, 4) for name, (mean, _) in material.lanes.items()},
    )  # fmt: skip


def described(wanted: Wanted, base: Base, material: Material, trained: Trained) -> AdapterInfo:
    """What the adapter's file says of itself."""
    return replace(
        _info(wanted, base, material), parameters=trained.n_trained, share=trained.share,
        training={
            "seconds": round(trained.seconds, 1),
            "steps": sum(report.steps for report in trained.reports.values()),
            "learnt_s": round(material.seconds("train"), 1),
            **{name: {"loss": report.loss} for name, report in trained.reports.items()},
        },
    )  # fmt: skip


def _finish(
    wanted: Wanted, base: Base, codec: Codec, material: Material, trained: Trained, report: dict[str, Any],
    on_progress: Progress,
) -> Adapted:  # fmt: skip
    """Choose, write, judge."""
    watch = _stopwatch()
    engine = engine_of(base, codec)
    info, plan = described(wanted, base, material, trained), judging_plan(base.config)
    name, scores = _best(engine, plan, trained.candidates, info, material, wanted, on_progress)
    path = wanted.run / ADAPTER_FILE
    adapter = save_adapter(path, info, trained.candidates[name], trained.peft_config)
    report["chosen"] = {"candidate": name, "control_errors": scores}
    report["file"] = {"bytes": path.stat().st_size, "id": adapter.id, "sha256": adapter.sha256}
    before, after = _before_and_after(engine, plan, adapter, material, wanted, on_progress)
    report["held_out"] = compared(before, after)
    _, missing = write_previews(wanted.run / "previews", before, after)
    if missing:
        report["material"]["findings"].append(missing)
    report["seconds"]["judging"] = watch()
    return Adapted(material, trained, adapter, path, report)


def _best(
    engine: Engine, plan: SamplingPlan, candidates: Mapping[str, Layers], info: AdapterInfo, material: Material,
    wanted: Wanted, on_progress: Progress,
) -> tuple[str, dict[str, float]]:  # fmt: skip
    """The candidate whose lanes are nearest to the validation recordings' -> (its name, error of each)."""
    if len(candidates) == 1:
        return next(iter(candidates)), {}
    reals = heard(recordings_of(material.corpus, "validation", max(wanted.n_judged // 2, 1)))
    if not reals:
        return "best" if "best" in candidates else "last", {}
    scores: dict[str, float] = {}
    for done, (name, layers) in enumerate(candidates.items()):
        on_progress("choosing", done / len(candidates))
        adapter = Adapter.of(info, layers)
        engine.adapters.add(adapter)
        judged = judge(engine, reals, wanted.technique, everywhere(adapter.id), plan)
        engine.adapters.remove(adapter.id)
        known = [error for error in judged.control if math.isfinite(error)]
        scores[name] = float(np.mean(known)) if known else math.nan
    return min(scores, key=lambda name: scores[name] if math.isfinite(scores[name]) else math.inf), scores


def _before_and_after(
    engine: Engine, plan: SamplingPlan, adapter: Adapter, material: Material, wanted: Wanted, on_progress: Progress
) -> tuple[Judged, Judged]:
    """The test recordings sung by the base and by the adapter."""
    reals = heard(recordings_of(material.corpus, "test", wanted.n_judged))
    if not reals:
        raise UserError("Nobody sings in what was held out.", remedy="Give more recordings.")
    engine.adapters.add(adapter)
    sides: list[Judged] = []
    for side in range(2):
        on_progress("judging", side / 2)
        strengths = everywhere(adapter.id) if side else {}
        sides.append(judge(engine, reals, wanted.technique, strengths, plan))
    return sides[0], sides[1]


@contextmanager
def _plain_disk_faults(run: Path) -> Iterator[None]:
    """A full or vanished disk as one line, whichever library ran into it. What the last checkpoint holds is kept."""
    try:
        yield
    except (OSError, SafetensorError, soundfile.LibsndfileError) as fault:
        number = fault.errno if isinstance(fault, OSError) else None
        words = str(fault)
        kept = "and start it again: it goes on from its last checkpoint."
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in words:
            raise UserError(f"The disk of {run} is full.", remedy=f"Free some space, {kept}") from fault
        if number is not None or "os error" in words:
            named = getattr(fault, "filename", None) or run
            reason = getattr(fault, "strerror", None) or words.splitlines()[0]
            raise UserError(f"{named}: {reason}.", remedy=f"Mend that, {kept}") from fault
        raise


def recordings_named(paths: Sequence[Path]) -> str:
    """A name for an adapter that nobody named: its first folder's or file's."""
    return paths[0].resolve().stem.replace("_", " ").strip() or "adapter"
