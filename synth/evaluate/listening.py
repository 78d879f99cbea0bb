"""A blind listening test as one HTML page that musicians can be handed, and the key that stays behind.

The page holds every sound as FLAC in base64, needs no server and no network, and knows nothing but opaque ids; what
each is stands in the key. Two kinds of trial: MUSHRA (ITU-R BS.1534-3: hidden reference, 3.5 and 7 kHz anchors,
0-100), and pairs, either "which is closer to the reference" or ABX ("which of the two is X").

Format revisions of the key
1  first: format, revision, test, seed, weights_hash, quality, plan, trials {id: kind, practice, recording, label,
   stimuli {id: condition}}
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile

from synth.atomic import write_atomically
from synth.errors import UserError
from synth.evaluate.listening_material import REFERENCE, Material, Progress, make_material
from synth.evaluate.recordings import held_out
from synth.evaluate.report_form import plain
from synth.evaluate.singing import Singer
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

if TYPE_CHECKING:
    from synth.engine import Engine

KEY_FORMAT: Final = "stridor-listening-key"
KEY_REVISION: Final = 1
PAGE_NAME: Final = "listening-test.html"
KEY_NAME: Final = "keep/key.json"  # in a folder of its own: the page is handed out, this is not
REFERENCES: Final = "keep/references"
_PAGE_DIR = Path(__file__).resolve().parent / "listening_page"
_OPEN = "open"  # the reference that is known as such
_LSB = 1.0 / 32_768.0
QUESTIONS: Final[Mapping[str, str]] = {
    "rating": "How good is each voice, set against the reference? Any difference that you hear counts. One of them is "
    "the reference itself: give it 100.",
    "preference": "Which of the two is closer to the reference?",
    "abx": "X is either A or B. Which?",
}
INTRODUCTION: Final = (
    "You will hear short voices, sung, spoken, whispered or growled, each in several versions. Which version is which "
    "is hidden from you, and the order is your own.",
    "All versions play in step: choosing another one goes on at the same place. Listen on headphones in a quiet room. "
    "Take a break when you are tired; your answers stay in this browser.",
)


@dataclass(frozen=True, slots=True)
class ListeningPlan:
    """What is asked.

    n_ratings   recordings to rate, one more comes first as practice and does not count
    n_pairs     recordings in pairs, of those rated; each with every one of `preferences` and `abx`, and with the model
                against every program of others
    preferences, abx   pairs of conditions
    """

    n_ratings: int = 10
    n_pairs: int = 4
    preferences: tuple[tuple[str, str], ...] = (("model", "world"), ("model", "model, timbre over time"))
    abx: tuple[tuple[str, str], ...] = (("codec", REFERENCE),)
    title: str = "Listening test"


@dataclass(frozen=True, slots=True)
class ListeningTest:
    """What was written."""

    page: Path
    key: Path
    test: str
    conditions: tuple[str, ...]
    n_trials: int
    page_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return plain(self)

    def lines(self) -> list[str]:
        """For a person."""
        return [
            f"{self.page}: {self.n_trials} trials, {self.page_bytes / 1e6:.1f} MB. Hand out this file alone.",
            f"{self.key}: what is what. Keep it from the listeners; the analysis needs it.",
            f"conditions: {', '.join(self.conditions)}",
        ]


def write_listening_test(
    engine: Engine,
    corpus_dir: Path,
    folder: Path,
    *,
    quality: str = "final",
    plan: ListeningPlan | None = None,
    others: Mapping[str, Path] | None = None,
    labels: Sequence[str] = (),
    seed: int | None = None,
    on_progress: Progress | None = None,
) -> ListeningTest:
    """Render held-out recordings by every method and write page, key and references into `folder`.

    others  condition -> folder of the same recordings by somebody else's program, <recording id>.flac or .wav
    seed    of the ids and the dither; drawn, and kept in the key, when not given
    """
    plan = plan or ListeningPlan()
    plan = dataclasses.replace(plan, preferences=plan.preferences + tuple(("model", name) for name in others or ()))
    recordings = held_out(corpus_dir, plan.n_ratings + 1, labels)
    for recording in recordings:
        write_atomically(folder / REFERENCES / f"{recording.id}.flac", _flac(recording.audio))
    material = make_material(Singer(engine, quality), recordings, others, on_progress)
    return write_page(
        folder, material, plan, seed=seed, about={"weights_hash": engine.weights_hash, "quality": quality}
    )


def write_page(
    folder: Path,
    material: Sequence[Material],
    plan: ListeningPlan,
    *,
    seed: int | None = None,
    about: Mapping[str, str] | None = None,
) -> ListeningTest:
    """Page and key of what has been rendered; the first recording is for practice where there is another one."""
    if not material:
        raise UserError("There is nothing to listen to.", remedy="Name a corpus with held-out recordings.")
    seed = secrets.randbits(63) if seed is None else seed
    trials, sounds = _trials(material, plan, seed)
    test_id = _opaque(seed, "test")
    page = _page(test_id, plan.title, trials, sounds, seed).encode()
    key = {
        "format": KEY_FORMAT,
        "revision": KEY_REVISION,
        "test": test_id,
        "seed": seed,
        "weights_hash": (about or {}).get("weights_hash", ""),
        "quality": (about or {}).get("quality", ""),
        "plan": plain(dataclasses.asdict(plan)),
        "trials": {trial.id: trial.key() for trial in trials},
    }
    write_atomically(folder / PAGE_NAME, page)
    write_atomically(folder / KEY_NAME, (json.dumps(key, indent=1) + "\n").encode())
    conditions = tuple(sorted({condition for trial in trials for condition in trial.stimuli.values()}))
    return ListeningTest(folder / PAGE_NAME, folder / KEY_NAME, test_id, conditions, len(trials), len(page))


@dataclass(frozen=True, slots=True)
class _Trial:
    """stimuli: opaque id -> condition; reference: the id of the open one."""

    id: str
    kind: str
    is_practice: bool
    recording_id: str
    label: str
    reference: str
    stimuli: Mapping[str, str]

    def key(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "practice": self.is_practice,
            "recording": self.recording_id,
            "label": self.label,
            "stimuli": dict(self.stimuli),
        }

    def shown(self) -> dict[str, Any]:
        """What the page may know. The order of the ids is that of the ids."""
        return {
            "id": self.id,
            "kind": self.kind,
            "practice": self.is_practice,
            "reference": self.reference,
            "stimuli": sorted(self.stimuli),
        }


def _trials(
    material: Sequence[Material], plan: ListeningPlan, seed: int
) -> tuple[list[_Trial], dict[str, Float32Array]]:
    """Every trial, and the sounds by opaque id. The open reference and the hidden one are two sounds: their ids and
    their dither differ, so that the page's source does not say which is hidden."""
    trials: list[_Trial] = []
    sounds: dict[str, Float32Array] = {}
    n_practice = 1 if len(material) > 1 else 0
    for number, one in enumerate(material[: plan.n_ratings + n_practice]):
        ids = {condition: _opaque(seed, one.recording_id, condition) for condition in one.sounds}
        sounds |= {ids[condition]: audio for condition, audio in one.sounds.items()}
        sounds[_opaque(seed, one.recording_id, _OPEN)] = one.sounds[REFERENCE]
        is_practice = number < n_practice
        asked = [("rating", tuple(sorted(one.sounds)))]
        if not is_practice and number < n_practice + plan.n_pairs:
            asked += [("preference", pair) for pair in plan.preferences] + [("abx", pair) for pair in plan.abx]
        trials += [
            _trial(one, kind, conditions, seed, is_practice=is_practice)
            for kind, conditions in asked
            if set(conditions) <= set(ids)
        ]
    return sorted(trials, key=lambda found: found.id), sounds


def _trial(one: Material, kind: str, conditions: Sequence[str], seed: int, *, is_practice: bool) -> _Trial:
    return _Trial(
        id=_opaque(seed, one.recording_id, kind, *conditions),
        kind=kind,
        is_practice=is_practice,
        recording_id=one.recording_id,
        label=one.label,
        reference=_opaque(seed, one.recording_id, _OPEN),
        stimuli={_opaque(seed, one.recording_id, condition): condition for condition in conditions},
    )


def _page(test_id: str, title: str, trials: Sequence[_Trial], sounds: Mapping[str, Float32Array], seed: int) -> str:
    described = {
        "test": test_id,
        "title": title,
        "introduction": INTRODUCTION,
        "questions": QUESTIONS,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "trials": [trial.shown() for trial in trials],
    }
    encoded = {name: base64.b64encode(_flac(sounds[name], seed, name)).decode() for name in sorted(sounds)}
    audio = [f'<script type="text/plain" id="audio-{name}">{text}</script>' for name, text in encoded.items()]
    script = "\n".join(
        ['"use strict";', *((_PAGE_DIR / name).read_text(encoding="utf-8") for name in ("player.js", "page.js"))]
    )
    parts = {
        "/*STYLE*/": (_PAGE_DIR / "page.css").read_text(encoding="utf-8"),
        "/*TEST*/": json.dumps(described).replace("</", "<\\/"),
        "<!--AUDIO-->": "\n".join(audio),
        "/*SCRIPT*/": script,
    }
    page = (_PAGE_DIR / "page.html").read_text(encoding="utf-8")
    for place, content in parts.items():
        before, after = page.split(place)
        page = before + content + after
    return page


def _opaque(seed: int, *words: str) -> str:
    """An id that says nothing of its words to whoever does not have the seed."""
    return hashlib.sha256("/".join([str(seed), *words]).encode()).hexdigest()[:12]


def _flac(audio: Float32Array, seed: int = 0, name: str = "") -> bytes:
    """Mono 16-bit FLAC with triangular dither of its own: [n] -> file."""
    rng = np.random.default_rng(list(hashlib.sha256(f"{seed}/{name}".encode()).digest()))
    dither = (rng.random(len(audio)) - rng.random(len(audio))) * _LSB
    samples = np.clip(np.round((audio + dither) / _LSB), -32_768, 32_767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()
