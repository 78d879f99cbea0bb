"""A base that never heard one collection of recordings: what adapting to that singer is measured on.

    python -m synth.adapt.base_without --corpus runs/corpus-c --collection merry-orks --weights presets/models/default
        --run runs/base-without --minutes 36 --distill-minutes 14

The corpus is looked at without the collection (clips by link, latents taken over), a denoiser of the shape of the one
in --weights is trained from scratch on what is left, and distilled as the shipped one is; its folder is a model. The
codec is that of --weights, which *has* heard the collection: what it alone loses of the held-out recordings is told by
`python -m synth.adapt.gain`. Every part is time-boxed and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from synth.adapt.training import Clock
from synth.atomic import replace_durably
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import MANIFEST_NAME, Corpus
from synth.diffusion.unet import DenoiserConfig
from synth.engine import CODEC_FILE, DENOISER_FILE, load_codec, load_denoiser
from synth.errors import UserError
from synth.train.descent import resolve_device
from synth.train.diffusion import diffusion_loop, train_diffusion
from synth.train.distill import distill, distill_config
from synth.train.latents import KEPT_LATENTS, LatentStore
from synth.train.loop import prepare_torch

log = logging.getLogger(__name__)

VIEW_FOLDER: Final = "corpus"
TEACHER_FOLDER: Final = "teacher"
STUDENT_FOLDER: Final = "student"
BATCH_SIZE: Final = 32  # as the shipped denoiser was trained on a processor


def corpus_without(source: Path, collection: str, folder: Path) -> Corpus:
    """The corpus in `source` without one collection, in `folder`: the same clips, linked, and the same splits.

    One that is there already is opened, if it is of these clips. UserError where nothing is of that collection.
    """
    whole = Corpus.open(source)
    left = [record for record in whole.records if record.collection != collection]
    if len(left) == len(whole.records):
        known = sorted({record.collection for record in whole.records})
        raise UserError(f"Nothing in {source} is of {collection!r}.", remedy=f"There are {', '.join(known)}.")
    view = Corpus(folder, left)
    if (folder / MANIFEST_NAME).is_file():
        if Corpus.open(folder).records != view.records:
            raise UserError(f"{folder} holds another corpus.", remedy="Give another --run folder.")
        return view
    for record in left:
        path = view.path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _link(whole.path(record), path)
    view.save()
    return view


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        _copy(source, target)


def take_over_latents(source: Path, view: Corpus, codec_file: Path, device: str) -> None:
    """Latents of the training split that `source` keeps, for `view`: encoding them again would take minutes."""
    kept = view.folder / KEPT_LATENTS
    if any(kept.glob("*.safetensors")):
        return
    codec = load_codec(codec_file).to(resolve_device(device))
    whole = LatentStore(ClipStore(Corpus.open(source), "train"), codec, kept_in=source / KEPT_LATENTS)
    log.info("latents taken over: %s", whole.keep_part(ClipStore(view, "train"), codec, kept).name)


def train_base_without(
    source: Path, collection: str, weights: Path, run: Path, *, minutes: float, distill_minutes: float,
    device: str = "auto", batch_size: int = BATCH_SIZE, clock: Clock = "processor",
) -> Path:  # fmt: skip
    """Do all of it, or go on -> the model's folder. minutes: of training; distill_minutes: of distillation, on top."""
    view = corpus_without(source, collection, run / VIEW_FOLDER)
    take_over_latents(source, view, weights / CODEC_FILE, device)
    _, shipped = load_denoiser(weights / DENOISER_FILE)
    shape = DenoiserConfig.from_dict(shipped["denoiser"])
    codec = load_codec(weights / CODEC_FILE).to(resolve_device(device))
    loop = replace(diffusion_loop(minutes, device=device), checkpoint_every_s=60.0, clock=clock)
    teacher = run / TEACHER_FOLDER
    _, report = train_diffusion(view.folder, codec, teacher, loop, shape=shape, batch_size=batch_size)
    _copy(weights / CODEC_FILE, teacher / CODEC_FILE)
    if report.stopped:
        raise UserError("The training was stopped before its time.", remedy="The same command goes on.")
    student = run / STUDENT_FOLDER
    config = replace(distill_config(distill_minutes, batch_size=batch_size), clock=clock)
    _, reports = distill(view.folder, teacher, student, config, device)
    if any(one.stopped for one in reports.values()):
        raise UserError("The distillation was stopped before its time.", remedy="The same command goes on.")
    _copy(student / DENOISER_FILE, run / DENOISER_FILE)
    _copy(weights / CODEC_FILE, run / CODEC_FILE)
    return run


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    shutil.copyfile(source, temporary)
    replace_durably(temporary, target)


def main() -> None:
    """Train it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the codec, and of the shape to train")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=36.0)
    parser.add_argument("--distill-minutes", type=float, default=14.0)
    parser.add_argument("--batch", type=int, default=BATCH_SIZE)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "processor"), default="processor", help="what counts the minutes")
    parser.add_argument("--prepare", action="store_true", help="the view of the corpus and its latents only")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare_torch(given.threads)
    if given.prepare:
        view = corpus_without(given.corpus, given.collection, given.run / VIEW_FOLDER)
        take_over_latents(given.corpus, view, given.weights / CODEC_FILE, given.device)
        return
    folder = train_base_without(
        given.corpus, given.collection, given.weights, given.run, minutes=given.minutes,
        distill_minutes=given.distill_minutes, device=given.device, batch_size=given.batch, clock=given.clock,
    )  # fmt: skip
    log.info("the base is in %s", folder)


if __name__ == "__main__":
    main()
