"""One adaptation from request to preset, telling how it goes. Runs in a process of its own, or in the command's."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapting.messages import Doing, Finished, Gathered, Heard, News, Step, Stopped
from app.adapting.request import REQUEST_FILE, AdaptRequest, save_request
from app.adapting.saving import install_adapted, save_adapted_preset
from app.state.preset import Preset
from synth.adapt.adaptation import Adapted, Wanted, adapt, recordings_named
from synth.adapt.listening import Preview
from synth.adapt.material import Material
from synth.adapt.training import AdaptRecipe
from synth.adapters.layout import checked_regions
from synth.corpus.importers.layouts import Terms
from synth.errors import UserError
from synth.train.loop import prepare_torch

_DOING = {
    "importing": "Reading the recordings",
    "measuring": "Measuring the recordings",
    "rehearsing": "Letting the base sing what must not be forgotten",
    "choosing": "Choosing the best of what was learnt",
    "judging": "Singing held-out recordings, before and after",
}

Tell = Callable[[News], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request. preset None: stopped early. installed: under its id among the user's own, else None."""

    done: Adapted
    preset: Preset | None
    installed: Preset | None


def carry_out(
    request: AdaptRequest,
    run: Path,
    *,
    tell: Tell = lambda _news: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train, or go on, and end with a preset. Tells Doing, Gathered, Step, Heard, and Stopped or Finished.

    UserError in one line for whatever a person can mend; the same call goes on afterwards.
    """
    wanted = wanted_of(request, run)
    if request.licence.strip() and request.consent.strip() and not (run / REQUEST_FILE).is_file():
        save_request(run, request)
    prepare_torch(min(request.threads, os.cpu_count() or 1))

    def gathered(material: Material) -> None:
        save_request(run, request)  # the run is this request's: anything else has been refused by now
        tell(Gathered(material.as_dict()))

    with _steps_told(tell, n_stages=2 if request.method == "sara" else 1):
        done = adapt(
            wanted,
            on_progress=lambda what, share: tell(Doing(_DOING.get(what, what), share)),
            should_stop=should_stop,
            on_material=gathered,
            on_preview=lambda preview: tell(heard(preview)),
        )
    if done.adapter is None:
        tell(Stopped())
        return Outcome(done, None, None)
    preset = save_adapted_preset(done, run, request.technique, (request.weights or Path("default")).name)
    installed = install_adapted(done, preset) if request.install else None
    tell(Finished(installed.id if installed is not None else "", preset.name, done.report, run / "previews"))
    return Outcome(done, preset, installed)


def wanted_of(request: AdaptRequest, run: Path) -> Wanted:
    """The request in synth's own terms. Raises UserError for regions and methods that there are not."""
    check_method(request.method)
    recipe = AdaptRecipe(
        method=request.method, regions=checked_regions(request.regions), rank=request.rank, alpha=2.0 * request.rank,
        share=request.share, threshold=request.threshold, seed=request.seed, use_bf16=request.bf16,
    )  # fmt: skip
    return Wanted(
        paths=request.paths, technique=request.technique, run=run, weights=request.weights,
        name=request.name.strip() or recordings_named(request.paths),
        terms=Terms(request.licence, request.consent, request.author), minutes=request.minutes, recipe=recipe,
        most_minutes=request.material_minutes, n_workers=request.workers, device=request.device,
        clock="processor" if request.clock == "processor" else "wall",
        preview_every_s=request.preview_every_s, previews=request.previews,
    )  # fmt: skip


def check_method(method: str) -> None:
    """UserError where peft is needed and missing."""
    if method not in ("sara", "full") and importlib.util.find_spec("peft") is None:
        raise UserError(
            f"Adapting by {method} goes through peft, which is not installed.",
            remedy="Install the training extra: .[training]; or use --method sara.",
        )


def heard(preview: Preview) -> Heard:
    """A preview as it is told."""
    error = preview.control_error
    return Heard(preview.index, preview.seconds, error if math.isfinite(error) else None, preview.sound)


class _Steps(logging.Handler):
    """Turns the training's own log into Steps; a second stage counts as the second half."""

    def __init__(self, tell: Tell, n_stages: int) -> None:
        super().__init__(logging.INFO)
        self._tell, self._n_stages = tell, n_stages
        self._stage, self._last = 0, -1

    def emit(self, record: logging.LogRecord) -> None:
        row: dict[str, Any] | None = getattr(record, "training", None)
        if row is None:
            return
        step = int(row["step"])
        if step < self._last:
            self._stage = min(self._stage + 1, self._n_stages - 1)
        self._last = step
        left_s = row.get("left_s")
        if left_s is not None and self._n_stages > 1:
            left_s += (self._n_stages - 1 - self._stage) * row["seconds"] / max(row["done"], 1e-3)
        done = (self._stage + row["done"]) / self._n_stages
        self._tell(Step(step, done, left_s, row.get("loss"), row.get("validation")))


@contextmanager
def _steps_told(tell: Tell, *, n_stages: int) -> Iterator[None]:
    logger, handler = logging.getLogger("synth"), _Steps(tell, n_stages)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
