"""Parts of `stridor bench live` that ask how much playing bears: disturbances, voices, storms, seams."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from app.commands.stage_bench import analysis
from app.commands.stage_bench.disturbance import disturbed
from app.commands.stage_bench.player import Bench, Stage, play_with
from app.commands.stage_bench.rig import Recorder, Score, recorder
from app.commands.stage_bench.scores import LEAD, dense, latencies, storm
from app.commands.stage_bench.silence import SilentClient, SilentFigures
from app.live.stage.sampling import BLOCK_FRAMES
from app.store.presets import load_preset
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.streaming.onsets import ONSET_FRAMES

_S: Final = SAMPLE_RATE_HZ
_PRESET: Final = "growl"
_RUN_S: Final = 60.0  # of dense playing, before the other client's turn
_LEAST_RUN_S: Final = 5.0
_N_VOICES: Final = 4
_EVENTS_A_SECOND: Final = 10_000.0
_TAKES: Final = 3


def under_runs(bench: Bench) -> dict[str, Any]:
    """Dense playing beside rendering, a busy loop and forced collections, in turns with a C client that is silent."""
    seconds = bench.settings.seconds
    n_runs = max(round(seconds / _RUN_S), 2)
    run_s = max(seconds / n_runs, _LEAST_RUN_S)
    ours: list[dict[str, Any]] = []
    silent: list[SilentFigures] = []
    why = ""
    for index in range(n_runs):
        with play_with([load_preset(_PRESET)], bench, has_window=True) as stage, recorder() as tape:
            tape.meanwhile = stage.poll
            stage.wait_for_onsets(200, limit_s=20.0)
            tape.settle()
            with disturbed(stage.window):
                ours.append(_dense_run(stage, tape, run_s, seed=3 + index))
        if not why:
            try:
                silent.append(_silent_run(bench, run_s))
            except UserError as fault:
                why = str(fault)
    zero = sum(run["zero_frames"] for run in ours)
    late = sum(run["late_periods"] for run in ours)
    result: dict[str, Any] = {
        "seconds": n_runs * run_s, "voices": _N_VOICES, "late_periods": late, "zero_frames": zero, "runs": ours,
        "silent_c_client": [
            {"late_periods": run.late_periods, "own_gaps": run.own_gaps, "zero_frames": run.zero_frames}
            for run in silent
        ],
    }  # fmt: skip
    if why:
        return result | {"not_measured": f"no comparison with a C client: {why}"}
    their_late, their_zero = sum(run.late_periods for run in silent), sum(run.zero_frames for run in silent)
    return result | {
        "asked_late_periods": {"figure": late, "at_most": their_late, "met": late <= their_late},
        "asked_zero_frames": {"figure": zero, "at_most": their_zero, "met": zero <= their_zero},
    }


def _dense_run(stage: Stage, tape: Recorder, seconds: float, *, seed: int) -> dict[str, Any]:
    before = stage.meter()
    take = tape.play(dense(seconds, n_voices=_N_VOICES, seed=seed), seconds)
    after = stage.meter()
    return {
        "late_blocks": after.under_runs - before.under_runs,
        "zero_frames": after.zero_frames - before.zero_frames,
        "late_periods": after.device_under_runs - before.device_under_runs,
        "recorder_gaps": take.gaps, "notes": after.notes - before.notes, "lost_notes": after.lost_notes,
        "late_model_frames": after.late_frames - before.late_frames, "n_steps": after.n_steps,
        "max_voices": after.max_voices, "performer_load": after.performer_load, "sampler_load": after.sampler_load,
        **stage.window_figures(),
    }  # fmt: skip


def _silent_run(bench: Bench, seconds: float) -> SilentFigures:
    """The C client where the engine's was: the same server, recorder, window, rendering and noise."""
    with SilentClient() as silence, disturbed(bench.window):
        playing = silence.start(seconds)
        time.sleep(0.5)
        with recorder() as tape:
            tape.settle()
            tape.play([], max(seconds - 2.0, 1.0))
        return silence.figures(playing, seconds)


def voices(bench: Bench) -> dict[str, Any]:
    """How many held voices sound without a late block in two of three takes, and at what quality."""
    runs: list[dict[str, Any]] = []
    most = 0
    with recorder() as tape, play_with([load_preset(_PRESET)], bench) as stage:
        stage.wait_for_onsets(200)
        tape.settle()
        for n_voices in (1, 2, 4, 6, 8, 12, 16):
            takes = [_held_take(stage, tape, n_voices) for _ in range(_TAKES)]
            runs += takes
            # One late block says that the machine was elsewhere; two in three say that it cannot.
            if sum(_is_whole(take) for take in takes) * 2 < _TAKES:
                break
            most = n_voices
    return {"runs": runs, "sustained": most, "asked": {"figure": most, "at_least": 4, "met": most >= 4}}


def _held_take(stage: Stage, tape: Recorder, n_voices: int) -> dict[str, Any]:
    """Hold so many voices for five seconds."""
    before = stage.meter()
    score: Score = [(LEAD + 37 * i, bytes((0x90, 45 + 3 * i, 96))) for i in range(n_voices)]
    end = LEAD + 5 * _S
    score += [(end + i, bytes((0x80, 45 + 3 * i, 0))) for i in range(n_voices)]
    played = tape.play(score, 6.0)
    stage.wait(0.5)  # filters that were late are told once a voice is over
    after = stage.meter()
    return {
        "voices": n_voices, "zero_frames": after.zero_frames - before.zero_frames,
        "late_periods": after.device_under_runs - before.device_under_runs, "recorder_gaps": played.gaps,
        "late_model_frames": after.late_frames - before.late_frames,
        "stolen": after.stolen_voices - before.stolen_voices, "n_steps": after.n_steps,
        "performer_load": after.performer_load, "sampler_load": after.sampler_load, "block_ms": after.block_ms,
    }  # fmt: skip


def _is_whole(take: dict[str, Any]) -> bool:
    return not (take["zero_frames"] or take["stolen"] or take["late_model_frames"])


def midi_storm(bench: Bench) -> dict[str, Any]:
    """10,000 events a second, sense and nonsense, and notes among them: when they sound, and what is left over."""
    seconds = 10.0
    with recorder() as tape, play_with([load_preset(_PRESET)], bench) as stage:
        stage.wait_for_onsets(200, limit_s=20.0)
        tape.settle()
        before = stage.meter()
        score, events = storm(seconds, events_a_second=_EVENTS_A_SECOND, seed=8)
        take = tape.play(score, seconds)
        stage.wait(2.0)
        after = stage.meter()
        quiet = tape.play([], 0.5)
        calm, struck = stage.meter(), [(LEAD, bytes((0x90, 60, 100))), (LEAD + _S // 4, bytes((0x80, 60, 0)))]
        answered, _, _ = latencies(tape, struck, [LEAD])
    return {
        "events_a_second": len(score) / seconds,
        "events": after.events - before.events, "notes": after.notes - before.notes, "notes_sent": len(events),
        "lost_notes": after.lost_notes - before.lost_notes, "stuck_voices": calm.voices,
        "sounding_after": float(np.abs(quiet.audio).max()), "zero_frames": after.zero_frames - before.zero_frames,
        "late_blocks": after.under_runs - before.under_runs, "recorder_gaps": take.gaps,
        "told_p95_ms": after.latency_p95_ms, "block_ms": after.block_ms,
        "note_after_ms": 1000.0 * answered[0] / _S if answered else None,
        "asked": {"figure": calm.voices, "at_most": 0, "met": calm.voices == 0 and bool(answered)},
    }  # fmt: skip


def seams(bench: Bench) -> dict[str, Any]:
    """Held notes: are samples at the seams of blocks and of drawn stretches steeper than elsewhere?"""
    period = bench.jack.period_frames
    with recorder() as tape, play_with([load_preset(_PRESET)], bench) as stage:
        stage.wait_for_onsets(100)
        tape.settle()
        take = tape.play([(LEAD, bytes((0x90, 57, 96))), (LEAD + 19 * _S, bytes((0x80, 57, 0)))], 19.5)
    body = take.audio[LEAD + _S : LEAD + 18 * _S]
    begin = LEAD + 2 * period - (LEAD + _S)
    blocks = np.arange(-begin % period, len(body), period)
    first = begin + ONSET_FRAMES * HOP_SAMPLES
    draws = np.arange(first, len(body), BLOCK_FRAMES * HOP_SAMPLES)
    tests = analysis.seam_test(body, blocks), analysis.seam_test(body, draws[draws > 0])
    return {
        "recorder_gaps": take.gaps, "blocks": tests[0], "draws": tests[1], "asked_p": analysis.seam_verdict(tests),
    }  # fmt: skip
