"""What the bench of live playing reads off recordings, on recordings whose answer is known."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.commands.stage_bench import analysis, run, soak, strength
from app.commands.stage_bench.player import Bench, BenchSettings, ProcessMemory
from app.commands.stage_bench.rig import Take
from app.commands.stage_bench.run import run_parts, table
from app.commands.stage_bench.scores import LEAD, dense, hands, storm, struck_notes
from app.commands.stage_bench.silence import SilentClient
from app.live.stage.meter import LiveMeter
from app.store.adapters import find_adapter
from app.store.installed_packs import packs_folder
from app.store.presets import load_preset
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array


def pulses(f0_hz: Float32Array) -> Float32Array:
    """A voice-like pulse train that follows f0_hz [n]."""
    phase = np.cumsum(f0_hz) / SAMPLE_RATE_HZ
    train = np.zeros(len(f0_hz))
    train[np.flatnonzero(np.diff(np.floor(phase)) > 0) + 1] = 1.0
    ring = np.exp(-np.arange(150) / 25.0) * np.cos(np.arange(150) / 3.0)
    return np.convolve(train, ring)[: len(f0_hz)].astype(np.float32)


def test_an_onset_is_found_at_its_sample() -> None:
    audio = np.zeros(4800, dtype=np.float32)
    audio[1256:] = np.sin(np.arange(3544) / 9.0)
    assert analysis.onset_after(audio, 1000, 4800) in (256, 257)
    assert analysis.onset_after(np.zeros(100, dtype=np.float32), 0, 100) is None


def test_a_bend_is_found_in_the_first_interval_it_changes() -> None:
    f0_hz = np.full(24_000, 261.6, dtype=np.float32)
    bent_hz = f0_hz.copy()
    bent_hz[12_000 + 300 :] *= 2.0 ** (2.0 / 12.0)
    found = analysis.bend_after(pulses(f0_hz), pulses(bent_hz), 12_000, 261.6)
    assert found is not None
    assert 300 < found <= 300 + 2 * SAMPLE_RATE_HZ / 261.6


def test_a_bend_too_small_to_hear_is_none() -> None:
    f0_hz = np.full(14_000, 261.6, dtype=np.float32)
    assert analysis.bend_after(pulses(f0_hz), pulses(f0_hz), 12_000, 261.6) is None


def test_twins_part_where_they_do() -> None:
    plain = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    moved = plain.copy()
    moved[2400:] += 0.5
    assert analysis.difference_after(plain, moved, 2000, 0.1) == 400
    assert analysis.difference_after(plain, plain, 2000, 0.1) is None


def test_seams_that_click_are_told_from_those_that_do_not() -> None:
    rng = np.random.default_rng(0)
    audio = np.convolve(rng.standard_normal(100_000), np.hanning(16), mode="same").astype(np.float32)
    seams = np.arange(500, 99_000, 480)
    assert analysis.seam_test(audio, seams)["step_p"] > 0.01
    clicking = audio.copy()
    for seam in seams:
        clicking[seam:] += rng.choice([-0.7, 0.7])
    assert analysis.seam_test(clicking, seams)["step_p"] < 0.01


def test_spreads_are_in_milliseconds() -> None:
    figures = analysis.spread_ms([240, 240, 288])
    assert figures["p50_ms"] == 5.0
    assert figures["max_ms"] == 6.0
    assert analysis.spread_ms([]) == {"n": 0}
    assert analysis.verdict(figures, "p50_ms", 5.5)["met"]
    assert not analysis.verdict({}, "p50_ms", 5.5)["met"]


def test_a_take_knows_where_it_is_whole() -> None:
    take = Take(np.zeros(10, dtype=np.float32), (500,))
    assert take.is_whole(0, 499)
    assert not take.is_whole(400, 600)


def test_scores_are_in_order_and_let_every_key_go() -> None:
    for score in (dense(5.0, n_voices=4, seed=1), struck_notes(20, keys=(57, 60), seed=1)[0]):
        frames = [frame for frame, _ in score]
        assert frames == sorted(frames)
        down: set[int] = set()
        for _, data in score:
            if data[0] == 0x90:
                down.add(data[1])
            elif data[0] == 0x80:
                down.discard(data[1])
        assert not down


def test_figures_that_are_kept_are_not_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "live.json"
    asked = analysis.verdict({"p99_ms": 5.4}, "p99_ms", 8.0)
    out.write_text(json.dumps({"parts": {"onset": {"p99_ms": 5.4, "asked": asked}}}))
    result = run_parts("onset", BenchSettings(), period_frames=128, out=out, again=False, quiet=True)
    assert any("met" in line for line in table(result))


def test_an_unknown_part_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no part 'speed'"):
        run_parts("speed", BenchSettings(), period_frames=128, out=None, again=False, quiet=True)


def test_hands_play_a_note_at_a_time_and_none_too_short_at_the_pace_asked_for() -> None:
    score, seconds = hands(560, notes_a_second=28.0, n_programs=4, shortest=257, seed=2)
    assert seconds == pytest.approx(560 / 28.0 + 1.2, rel=0.15)
    assert sum(data[0] & 0xF0 == 0x90 for _, data in score) == 560
    down: dict[int, tuple[int, int]] = {}  # hand -> its key, and since when
    for at, data in score:
        kind, hand = data[0] & 0xF0, data[0] & 0x0F
        if kind == 0x90:
            assert hand not in down
            down[hand] = data[1], at
        elif kind == 0x80:
            key, since = down.pop(hand)
            assert key == data[1]
            assert at - since >= 257
    assert not down
    assert {data[0] & 0x0F for _, data in score} == {0, 1, 2, 3}


def test_hands_bend_press_swell_and_choose_presets() -> None:
    score, _ = hands(300, notes_a_second=28.0, n_programs=4, shortest=257, seed=3)
    assert {data[0] & 0xF0 for _, data in score} == {0x80, 0x90, 0xB0, 0xC0, 0xD0, 0xE0}
    assert all(0 <= byte < 128 for _, data in score for byte in data[1:])
    assert {data[1] for _, data in score if data[0] & 0xF0 == 0xC0} <= {0, 1, 2, 3}
    bends = {hand: [data[2] for _, data in score if data[0] == 0xE0 | hand] for hand in range(4)}
    assert all(len(set(values)) > 8 and values[-1] == 64 for values in bends.values())


def reading(**changes: int) -> LiveMeter:
    named: dict[str, Any] = {
        field.name: {"str": "playing", "float": 0.0}.get(str(field.type), 0) for field in fields(LiveMeter)
    }
    named.update(changes)
    return LiveMeter(**named)


def test_a_note_is_sung_or_stolen_or_lost() -> None:
    before = reading(notes=10, heard_notes=9, stolen_unheard=1)
    after = reading(notes=108, heard_notes=100, stolen_unheard=5)
    counted = soak._counted(100, before, after)
    assert (counted["sung"], counted["stolen_unheard"], counted["lost"], counted["not_begun"]) == (91, 4, 5, 2)
    assert soak._counted(100, before, reading(notes=110, heard_notes=109, stolen_unheard=1))["lost"] == 0


def test_memory_grows_by_process_and_a_new_one_is_all_growth() -> None:
    grown = soak._growth({"host": ProcessMemory(90.0, 20.0)}, {
        "host": ProcessMemory(95.0, 21.0), "stridor-performer": ProcessMemory(40.0, 8.0)
    })  # fmt: skip
    assert grown == {"host": ProcessMemory(5.0, 1.0), "stridor-performer": ProcessMemory(40.0, 8.0)}


def test_a_soak_is_as_long_as_is_asked_by_notes_or_by_seconds() -> None:
    assert BenchSettings(seconds=3600.0).n_soak_notes == 100_800
    assert BenchSettings(seconds=3600.0, soak_notes=500).n_soak_notes == 500


def test_a_fader_moves_from_end_to_end_or_not_at_all() -> None:
    assert strength.control_moves("still", 1) == []
    swept = [data[2] for _, data in strength.control_moves("swept", 1)]
    assert (min(swept), max(swept)) == (0, 127)
    assert max(abs(after - before) for before, after in pairwise(swept)) <= 2
    jumped = strength.control_moves("jumped", 1)
    assert [data[2] for _, data in jumped[:4]] == [127, 0, 127, 0]
    assert {at for at, _ in jumped}.isdisjoint(at for at, _ in strength.control_moves("jumped", 2))


def take_of(kind: str, *, click: float = 0.0) -> strength._Held:
    """A held note like noise; `click` at a boundary of its frames in the 60 ms after each of the control's moves."""
    rng = np.random.default_rng(5)
    audio = 0.1 * np.convolve(rng.standard_normal(7 * SAMPLE_RATE_HZ), np.hanning(16), mode="same").astype(np.float32)
    moves = tuple(at for at, _ in strength.control_moves(kind, 1))
    for at in moves:
        boundary = LEAD + 256 + ((at - LEAD) // 480 + 3) * 480
        audio[boundary + 9 :] += click * rng.choice([-1.0, 1.0])
    return strength._Held(Take(audio, ()), moves, {"zero_frames": 0})


@pytest.mark.parametrize("kind", ["swept", "jumped"])
def test_moves_that_click_are_told_from_moves_that_do_not(kind: str) -> None:
    smooth = analysis.seam_test(*strength._seams([take_of(kind)] * 2, 128), reach=24)
    clicking = analysis.seam_test(*strength._seams([take_of(kind, click=0.7)] * 2, 128), reach=24)
    assert smooth["n_seams"] > 100
    assert smooth["step_p"] > 0.01
    assert clicking["step_p"] < 0.01


def test_takes_that_are_not_whole_say_nothing_of_seams() -> None:
    whole = take_of("jumped")
    late = strength._Held(Take(whole.take.audio, (48_000,)), whole.moves, {"zero_frames": 0})
    lost = strength._Held(whole.take, whole.moves, {"zero_frames": 128})
    faded = whole.take.audio.copy()
    faded[3 * SAMPLE_RATE_HZ :] = 0.0
    starved = strength._Held(Take(faded, ()), whole.moves, {"zero_frames": 0})
    assert whole.is_whole
    assert not any(take.is_whole for take in (late, lost, starved))
    assert not analysis.seam_verdict([analysis.seam_test(*strength._seams([late, lost, starved], 128))])["met"]


def test_the_voices_are_installed_where_nobody_else_keeps_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    before = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    with strength._home_of_its_own():
        folder = packs_folder()
        assert load_preset(strength._PRESET).adapter_strengths()
        assert find_adapter(load_preset(strength._PRESET).adapters[0].id).is_relative_to(folder)
    assert not folder.exists()
    assert before == {name: os.environ.get(name) for name in before}


def test_a_storm_is_as_dense_as_it_says_and_brings_notes_of_its_own() -> None:
    score, events = storm(3.0, events_a_second=10_000.0, seed=2)
    assert len(score) > 0.9 * 10_000 * 1.8
    assert {at for at, data in score if data[0] == 0x90} == set(events)
    assert {data[0] >> 4 for _, data in score} == {0x8, 0x9, 0xA, 0xB, 0xD, 0xE, 0xF}
    assert max(len(data) for _, data in score) > 100
    assert all(0 <= byte < 128 for _, data in score for byte in data[1:-1])


def test_seams_are_told_by_the_least_likely_test_at_its_share() -> None:
    quiet = {"n_seams": 20, "step_p": 0.4, "flux_p": 0.02}
    assert analysis.seam_verdict((quiet, quiet))["met"]
    assert not analysis.seam_verdict((quiet, {"step_p": 0.001, "flux_p": 0.5}))["met"]
    assert not analysis.seam_verdict(({"n_seams": 2},))["met"]  # nothing was tested


def failing(_bench: Bench) -> dict[str, Any]:
    """Fails."""
    raise ZeroDivisionError("nothing to divide by")


def endless(_bench: Bench) -> dict[str, Any]:
    """Never ends."""
    while True:
        time.sleep(0.01)


def fine(_bench: Bench) -> dict[str, Any]:
    """Finds something."""
    return {"n": 3}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that interrupt")
def test_a_part_that_fails_or_never_ends_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PARTS", {"failing": failing, "endless": endless, "fine": fine})
    monkeypatch.setattr(run, "limit_s", lambda _name, _settings: 0.2)
    monkeypatch.setattr(run, "JackServer", lambda _period: nullcontext())
    monkeypatch.setattr(signal, "signal", _without_sigterm(signal.signal))
    out = tmp_path / "live.json"
    result = run_parts(None, BenchSettings(), period_frames=128, out=out, again=False, quiet=True, has_window=False)
    assert "nothing to divide by" in result["parts"]["failing"]["failed"]
    assert "longer than" in result["parts"]["endless"]["failed"]
    assert result["parts"]["fine"]["n"] == 3
    assert json.loads(out.read_text())["window"] == "none: not wanted"


def _without_sigterm(usual: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
    """The tests' own process is ended as before."""
    return lambda number, handler: None if number == signal.SIGTERM else usual(number, handler)


def test_a_client_in_c_can_be_made_where_there_is_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        with pytest.raises(UserError, match="no C compiler"), SilentClient():
            pass
        return
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "stridor-test-has-no-such-server")
    with SilentClient() as silence:
        playing = silence.start(0.01)
        with pytest.raises(UserError, match="ended with"):  # no server by this name
            silence.figures(playing, 5.0)
