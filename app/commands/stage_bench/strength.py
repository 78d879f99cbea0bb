"""The part of `stridor bench live` that moves an adapter's strength under a held note."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.commands.stage_bench import analysis
from app.commands.stage_bench.player import Bench, Stage, hard_preset, play_with
from app.commands.stage_bench.rig import MIDI_PORT, Recorder, Score, Take, recorder
from app.commands.stage_bench.scores import LEAD, twin_notes
from app.live.stage.messages import UseProfile
from app.services.events import LivePresetChanged
from app.state.controller_profile import Binding, default_profile
from app.state.preset import Preset
from app.store.installed_packs import packs_folder
from app.store.packs.factory import install_factory_packs
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_S: Final = SAMPLE_RATE_HZ
_PRESET: Final = "growler_of_the_merry_orks"  # of the pack of voices that comes with Stridor
_FOLDERS: Final = ("XDG_CONFIG_HOME", "XDG_DATA_HOME")
_CONTROL: Final = 20
_FULL: Final = bytes((0xB0, _CONTROL, 127))
_AT_REST: Final = bytes((0xB0, 121, 0))
_KEY: Final = 60
_LOAD_S: Final = 120.0  # of a machine that is busy
_HELD_S: Final = 6.0  # of every take
_BODY: Final = slice(LEAD + _S // 2, LEAD + round((_HELD_S - 0.4) * _S))
_KINDS: Final = ("still", "swept", "jumped")
_SWEEP_STEP_S: Final = 0.01
_SWEEP_S: Final = 2.0  # up and down again
_JUMP_S: Final = 0.3
_OBEYED_S: Final = 0.06  # after a move, its seam is over
_REACH_SAMPLES: Final = 24  # by so much a note's first sample may be off its event's place
_EDGE_SAMPLES: Final = 240


def strength(bench: Bench) -> dict[str, Any]:
    """An adapter's strength moved under a held note: when it is heard, what is lost meanwhile, and whether it clicks.

    One control moves the adapter's three regions from 0 to 1. Then notes are held with the control still, swept and
    jumping, in turns: what each client loses, and whether the places where drawn frames give way to others are told
    from random ones. Those of a control that is still are there to compare with.
    """
    n_rounds = max(round(bench.settings.seconds / (_HELD_S * len(_KINDS))), 1)
    takes: dict[str, list[_Held]] = {kind: [] for kind in _KINDS}
    with _home_of_its_own():
        adapted = hard_preset(_PRESET)
        plain = replace(adapted, id="without_its_adapter", adapters=())
        with recorder() as tape, play_with([plain], bench, has_window=True) as stage:
            tape.meanwhile = stage.poll
            _load(stage, plain, adapted)
            stage.wait_for_onsets(200)
            tape.settle()
            heard = twin_notes(stage, tape, bench.settings.n_twins, _KEY, _FULL, f0_hz=None)
            for index in range(n_rounds):
                for kind in _KINDS:
                    takes[kind].append(_held(stage, tape, kind, seed=index))
    period = bench.jack.period_frames
    seams = {kind: analysis.seam_test(*_seams(takes[kind], period), reach=_REACH_SAMPLES) for kind in _KINDS}
    lost = {kind: _summed([take.lost for take in takes[kind]]) for kind in _KINDS}
    zero = lost["swept"]["zero_frames"] + lost["jumped"]["zero_frames"]
    return {
        "heard": heard | {"asked": analysis.verdict(heard, "p95_ms", 60.0)},
        "seconds_of_each": n_rounds * _HELD_S, "lost": lost, "seams": seams,
        "whole_takes": {kind: sum(take.is_whole for take in takes[kind]) for kind in _KINDS},
        "asked_zero_frames": {"figure": zero, "at_most": 0, "met": zero == 0},
        "asked_p": analysis.seam_verdict([seams["swept"], seams["jumped"]]),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Held:
    """A take of one held note.

    moves   frames of the control's moves
    lost    what each client lost: the live stream, the sound server, the recorder
    """

    take: Take
    moves: tuple[int, ...]
    lost: dict[str, int]

    @property
    def is_whole(self) -> bool:
        """Whether every sample is where it belongs, and the note did not fade for want of a sampler."""
        return not (self.take.gaps or self.lost["zero_frames"]) and analysis.sounds_throughout(self.body)

    @property
    def body(self) -> Float32Array:
        """From half a second into the note to its last move and a little more."""
        return self.take.audio[_BODY]


def _held(stage: Stage, tape: Recorder, kind: str, *, seed: int) -> _Held:
    moves = control_moves(kind, seed)
    score: Score = [(LEAD, bytes((0x90, _KEY, 96))), *moves]
    score += [(LEAD + round(_HELD_S * _S), bytes((0x80, _KEY, 0))), (LEAD + round(_HELD_S * _S) + 4800, _AT_REST)]
    before = stage.meter()
    take = tape.play(score, _HELD_S + 1.0)
    after = stage.meter()
    lost = {
        "zero_frames": after.zero_frames - before.zero_frames, "late_blocks": after.under_runs - before.under_runs,
        "late_periods_of_sound_server": after.device_under_runs - before.device_under_runs,
        "late_periods_of_recorder": take.gaps, "late_model_frames": after.late_frames - before.late_frames,
        "redrawn": after.redrawn - before.redrawn,
    }  # fmt: skip
    return _Held(take, tuple(at for at, _ in moves), lost)


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Counts of one kind, added up by their names."""
    return {name: sum(count[name] for count in counts) for name in counts[0]}


def control_moves(kind: str, seed: int) -> Score:
    """What the control does under a held note: nothing ("still"), up and down ("swept"), end to end ("jumped")."""
    start, end = LEAD + _S // 2, LEAD + round((_HELD_S - 0.5) * _S)
    if kind == "swept":
        moves = []
        for at in range(start, end, round(_SWEEP_STEP_S * _S)):
            cycle = (at - start) / (_SWEEP_S * _S) % 1.0
            moves.append((at, bytes((0xB0, _CONTROL, round(127 * (1.0 - abs(2.0 * cycle - 1.0)))))))
        return moves
    if kind == "jumped":
        rng = np.random.default_rng(seed)  # anywhere within periods and frames
        places = np.cumsum(rng.uniform(0.8, 1.2, round((end - start) / (_JUMP_S * _S))) * _JUMP_S * _S)
        inside = [start + int(at) for at in places if start + at < end]
        return [(at, bytes((0xB0, _CONTROL, 127 * (index % 2 == 0)))) for index, at in enumerate(inside)]
    return []


def _seams(takes: Sequence[_Held], period_frames: int) -> tuple[Float32Array, np.ndarray]:
    """The bodies of the takes that are whole, one after the other, and where drawn frames may give way to others.

    Those places are the boundaries of frames; of takes whose control moves, those that are heard in the 60 ms after a
    move. Where a body begins and ends it is faded, so that its joint to the next one is no step.
    """
    audio: list[Float32Array] = []
    seams: list[np.ndarray] = []
    start, end, first = _BODY.start, _BODY.stop, LEAD + 2 * period_frames
    edge = np.linspace(0.0, 1.0, _EDGE_SAMPLES, dtype=np.float32)
    for held in (held for held in takes if held.is_whole):
        boundaries = np.arange(first, end - _EDGE_SAMPLES, HOP_SAMPLES)
        boundaries = boundaries[boundaries > start + _EDGE_SAMPLES]
        if held.moves:
            heard = np.array(held.moves) + 2 * period_frames
            last = heard[np.maximum(np.searchsorted(heard, boundaries, side="right") - 1, 0)]
            since = boundaries - last
            boundaries = boundaries[(since >= 0) & (since < round(_OBEYED_S * _S))]
        seams.append(boundaries - start + (end - start) * len(audio))
        body = held.body.copy()
        body[:_EDGE_SAMPLES] *= edge
        body[-_EDGE_SAMPLES:] *= edge[::-1]
        audio.append(body)
    if not audio:
        return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
    return np.concatenate(audio), np.concatenate(seams)


def _load(stage: Stage, plain: Preset, adapted: Preset) -> None:
    """Bind the control to the adapter's regions, and wait until it is there. Raises UserError where it does not come.

    A preset is taken up when its adapters are there; then the one without them is chosen again, and sings at 0.
    """
    profile = default_profile(MIDI_PORT)
    for lane_id in adapted.adapter_strengths():
        profile = profile.with_binding(Binding(f"cc{_CONTROL}", lane_id, 0.0, 1.0))
    stage.session.engine.play(UseProfile(profile))
    stage.wait(0.5)
    stage.session.set_preset(adapted)
    deadline_s = time.monotonic() + _LOAD_S
    while LivePresetChanged(adapted.id) not in stage.poll():
        if time.monotonic() > deadline_s:
            raise UserError(f"The adapter of {adapted.name!r} is not loaded.", remedy="Look into the sampler's log.")
        time.sleep(0.01)
    stage.session.engine.use_bank((plain,))
    stage.wait(1.0)


@contextmanager
def _home_of_its_own() -> Iterator[None]:
    """The packs that come with Stridor, installed in folders of the bench's own until the context ends."""
    before = {name: os.environ.get(name) for name in _FOLDERS}
    with tempfile.TemporaryDirectory(prefix="stridor-bench-") as folder:
        os.environ |= dict.fromkeys(_FOLDERS, folder)
        try:
            if not packs_folder().is_relative_to(Path(folder)):
                raise UserError("This system keeps packs in one place only.", remedy="Measure this part on Linux.")
            if not install_factory_packs():
                raise UserError("The pack of voices cannot be installed.", remedy="Restore presets/packs.")
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
