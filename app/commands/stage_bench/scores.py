"""Scores the bench plays, and how their recordings are read."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from app.commands.stage_bench import analysis
from app.commands.stage_bench.player import Bench, Stage, hard_preset, play_with
from app.commands.stage_bench.rig import Recorder, Score, recorder
from synth.spec.audio import SAMPLE_RATE_HZ

LEAD: Final = round(0.2 * SAMPLE_RATE_HZ)  # before the first event of a score
ALL_SOUND_OFF: Final = bytes((0xB0, 120, 0))
_S: Final = SAMPLE_RATE_HZ
_PERIOD_MOST: Final = 1024
_TWIN_S: Final = 2.0  # from one note to its twin
_HELD_S: Final = 0.9
_MOVED_S: Final = 0.55  # into the note
_BEFORE_S: Final = 0.25  # of the move: twins must be alike
_AFTER_S: Final = 0.2  # the longest change that is waited for
_TIMES: Final = 3  # as many pairs as are wanted, for those that tell nothing
_LIKE: Final = 0.2  # of the note's level: unmoved twins that differ by more tell nothing of a lane
_PARTED: Final = 3.0  # times what unmoved twins differ by
_HEARD: Final = 0.03  # of the note's level, where they do not differ

# ---- scores


def struck_notes(n_notes: int, *, keys: tuple[int, ...], seed: int) -> tuple[Score, list[int]]:
    """Short notes, cut off before the next, that begin anywhere within a period -> score, event frames."""
    rng = np.random.default_rng(seed)
    score: Score = []
    events: list[int] = []
    at = LEAD
    for index in range(n_notes):
        key = keys[index % len(keys)]
        score += [(at, bytes((0x90, key, 96))), (at + 2400, bytes((0x80, key, 0))), (at + 4320, ALL_SOUND_OFF)]
        events.append(at)
        at += 6720 + int(rng.integers(0, 128))
    return score, events


def dense(seconds: float, *, n_voices: int, seed: int) -> Score:
    """Overlapping notes of n_voices hands, with wheels moving."""
    rng = np.random.default_rng(seed)
    score: Score = []
    end = round((seconds - 0.8) * _S)
    for hand in range(n_voices):
        at = LEAD + int(rng.integers(0, _S // 2))
        while at < end:
            key, length = int(36 + 8 * hand + rng.integers(0, 8)), int(rng.integers(4800, _S))
            score += [
                (at, bytes((0x90, key, int(rng.integers(30, 127))))),
                (min(at + length, end), bytes((0x80, key, 0))),
            ]
            at += length + int(rng.integers(480, 9600))
    for at in range(LEAD, end, 2400):
        wheel = int(63 + 50 * np.sin(at / _S))
        score += [(at, bytes((0xE0, 0, wheel))), (at + 7, bytes((0xB0, 1, wheel)))]
    score.append((end + 480, bytes((0xB0, 123, 0))))
    return sorted(score, key=lambda event: event[0])


def hands(
    n_notes: int, *, notes_a_second: float, n_programs: int, shortest: int, seed: int, n_hands: int = 4
) -> tuple[Score, float]:
    """What hands play for hours -> score, its seconds.

    Each hand has a channel, an octave and a note at a time, held for two to nine tenths of the time to its next one,
    but for no fewer than `shortest` frames. Every fifth note is bent, every seventh pressed; the first wheel and the
    breath swell for all of them now and then, and every few seconds another of `n_programs` presets is chosen.
    """
    rng = np.random.default_rng(seed)
    step = n_hands * _S / notes_a_second
    score: Score = []
    end = float(LEAD)
    for hand in range(n_hands):
        at, key = LEAD + hand * step / n_hands, -1
        for index in range(hand, n_notes, n_hands):
            gap = step * float(rng.uniform(0.7, 1.3))
            start, length = int(at), max(int(gap * rng.uniform(0.2, 0.9)), shortest)
            key = int(rng.choice([other for other in range(36 + 12 * hand, 48 + 12 * hand) if other != key]))
            score.append((start, bytes((0x90 | hand, key, int(rng.integers(30, 127))))))
            score.append((start + length, bytes((0x80 | hand, key, 0))))
            if index % 5 == 0:
                score += _swelling(start + length // 4, length // 2, bytes((0xE0 | hand, 0)), int(rng.integers(0, 128)))
                score.append((start + length, bytes((0xE0 | hand, 0, 64))))
            if index % 7 == 0:
                score += _swelling(start, length, bytes((0xD0 | hand,)), int(rng.integers(0, 128)))
            at += gap
        end = max(end, at)
    for at in range(LEAD, int(end), 2 * _S):
        score += _swelling(at, _S, bytes((0xB0, int(rng.integers(1, 3)))), int(rng.integers(0, 128)))
    for at in range(LEAD + 3 * _S, int(end), 3 * _S):
        score.append((at, bytes((0xC0, int(rng.integers(0, n_programs))))))
    return sorted(score, key=lambda event: event[0]), (end + _S) / _S


def _swelling(start: int, n_frames: int, head: bytes, peak: int) -> Score:
    """A control that goes up to `peak`, 0 to 127, and back, in eight messages that begin with `head`."""
    rest = 64 if head[0] & 0xF0 == 0xE0 else 0
    return [
        (start + n_frames * index // 8, head + bytes((round(rest + (peak - rest) * np.sin(np.pi * index / 7)),)))
        for index in range(8)
    ]


def storm(seconds: float, *, events_a_second: float, seed: int) -> tuple[Score, list[int]]:
    """Notes every 0.2 s under a storm of everything a controller can send -> score, frames of the notes.

    Among it are pressure and bends on all channels, controls without a meaning, offs without notes, system exclusives
    of many lengths and messages that announce more than they bring.
    """
    rng = np.random.default_rng(seed)
    score: Score = []
    end = round((seconds - 1.0) * _S)
    for at in np.sort(rng.integers(LEAD, end, round(events_a_second * (end - LEAD) / _S))):
        score.append((int(at), _anything(rng)))
    events = list(range(LEAD + _S // 2, end - _S // 2, _S // 5))
    for index, at in enumerate(events):
        key = 48 + index % 24
        score += [(at, bytes((0x90, key, 100))), (at + _S // 10, bytes((0x80, key, 0)))]
    score += [(end + 480, bytes((0xB0, 121, 0))), (end + 960, ALL_SOUND_OFF)]
    return sorted(score, key=lambda event: event[0]), events


def _anything(rng: np.random.Generator) -> bytes:
    channel, low, high = int(rng.integers(0, 16)), int(rng.integers(0, 128)), int(rng.integers(0, 128))
    match int(rng.integers(0, 100)):
        case kind if kind < 40:
            return bytes((0xE0 | channel, low, high))
        case kind if kind < 60:
            return bytes((0xB0 | channel, int(rng.choice((1, 2, 11, 74))), high))
        case kind if kind < 75:
            return bytes((0xD0 | channel, high))
        case kind if kind < 90:
            return bytes((0xA0 | channel, low, high))
        case kind if kind < 96:
            return bytes((0x80 | channel, int(rng.integers(84, 128)), 0))
        case kind if kind < 99:
            return bytes((0xF0, *rng.integers(0, 128, int(rng.integers(1, 200))).tolist(), 0xF7))
        case _:
            return bytes((0xB0 | channel, 6, high))


# ---- measuring


def latencies(tape: Recorder, score: Score, events: list[int]) -> tuple[list[int], int, int]:
    """Play and measure -> (latencies in samples, notes that made no sound, notes the recorder was too late for)."""
    take = tape.play(score, (score[-1][0] + _S // 2) / _S)
    found: list[int] = []
    silent = unseen = 0
    for index, event in enumerate(events):
        end = events[index + 1] - 64 if index + 1 < len(events) else len(take.audio)
        latency = analysis.onset_after(take.audio, event, end)
        if not take.is_whole(event - _PERIOD_MOST, event + (latency or 0) + _PERIOD_MOST):
            unseen += 1
        elif latency is None:
            silent += 1
        else:
            found.append(latency)
    return found, silent, unseen


def twins(bench: Bench, key: int, message: bytes, *, f0_hz: float | None) -> dict[str, Any]:
    """`twin_notes` of the preset with the hardest onset, on an engine of their own."""
    with recorder() as tape, play_with([hard_preset()], bench, has_window=True) as stage:
        tape.meanwhile = stage.poll
        stage.wait_for_onsets(200)
        tape.settle()
        return twin_notes(stage, tape, bench.settings.n_twins, key, message, f0_hz=f0_hz)


def twin_notes(
    stage: Stage, tape: Recorder, n_wanted: int, key: int, message: bytes, *, f0_hz: float | None
) -> dict[str, Any]:
    """Notes of one seed, twice plain and once with `message` in the middle -> latencies of what it changes.

    Pairs go on until enough have told something. What tells nothing is counted: `unseen`, where the recorder was late;
    `unlike`, where the plain twins differ by themselves; `not_found`, where the third never parts from them.
    """
    length, pitch = round(_HELD_S * _S), round(_TWIN_S * _S)
    found: list[int] = []
    lost = {"not_found": 0, "unlike": 0, "unseen": 0}
    floors: list[float] = []
    for index in range(_TIMES * n_wanted):
        if len(found) >= n_wanted:
            break
        # The same place within the period for all three, another one for every pair.
        start = LEAD // 128 * 128 + 11 * index % 128
        shift = round(_MOVED_S * _S) + 17 * index % 128
        score = [event for turn in range(3) for event in _twin(start + turn * pitch, key, length)]
        score.append((start + 2 * pitch + shift, message))
        take = tape.play(sorted(score, key=lambda event: event[0]), (start + 3 * pitch) / _S)
        begin = [start + turn * pitch for turn in range(3)]
        # Twins are compared sample by sample; what is lost between them moves the next one as a whole.
        if not all(take.is_whole(at - _PERIOD_MOST, at + length) for at in begin):
            lost["unseen"] += 1
            continue
        plain, again, moved = (take.audio[at : at + length] for at in begin)
        before, after = shift - round(_BEFORE_S * _S), shift + round(_AFTER_S * _S)
        level = float(np.sqrt(np.mean(plain[before:shift] ** 2)))
        floor = analysis.loudest_difference(plain, again, before, after)
        floor = max(floor, analysis.loudest_difference(plain, moved, before, shift))
        floors.append(floor / max(level, 1e-9))
        if f0_hz is None and floor > _LIKE * level:
            lost["unlike"] += 1
            continue
        if f0_hz is not None:
            latency = analysis.bend_after(plain, moved, shift, f0_hz)
        else:
            threshold = max(_PARTED * floor, _HEARD * level)
            latency = analysis.difference_after(plain[:after], moved[:after], shift, threshold)
        if latency is None:
            lost["not_found"] += 1
        else:
            found.append(latency)
    meter = stage.meter()
    return {
        **analysis.spread_ms(found), **lost,
        "unmoved_twins_differ_by": float(np.median(floors)) if floors else 0.0,
        "redrawn": meter.redrawn, "n_steps": meter.n_steps, "draw_ms": meter.draw_ms, "frames_ms": meter.frames_ms,
        **stage.window_figures(),
    }  # fmt: skip


def _twin(at: int, key: int, length: int) -> Score:
    """A note with all controls at rest."""
    rest = bytes((0xE0, 0, 64)), bytes((0xB0, 121, 0))
    return [
        (at - _S // 2, rest[0]), (at - _S // 2 + 100, rest[1]), (at, bytes((0x90, key, 96))),
        (at + length, bytes((0x80, key, 0))), (at + length + 2400, ALL_SOUND_OFF),
    ]  # fmt: skip
