"""The mixer plays what it is given, exactly, and never clicks, raises or allocates."""

from __future__ import annotations

import ast
import inspect
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.audio import clip_file, mixer, output, preview_voice, rate, shared
from app.audio.messages import SetTransport
from app.audio.mixer import FADE_FRAMES, MIN_LOOP_FRAMES, SWAP_FRAMES
from app.audio.preview_voice import ATTACK_FRAMES
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ
from tests.app.audio.sink import Sink, largest_step, sine, sink


@pytest.fixture(params=[64, 128, 1000, 5000])
def any_sink(request: pytest.FixtureRequest) -> Iterator[Sink]:
    with sink(block=request.param) as made:
        yield made


@pytest.fixture
def one_sink() -> Iterator[Sink]:
    with sink() as made:
        yield made


def playhead(of: Sink) -> int:
    return int(of.state.ints[shared.PLAYHEAD])


def is_playing(of: Sink) -> bool:
    return bool(of.state.ints[shared.PLAYING])


def test_a_clip_is_played_exactly_and_ends(any_sink: Sink) -> None:
    clip = sine(440.0, 0.5)
    any_sink.mixer.set_clip(clip)
    any_sink.mixer.set_transport(SetTransport(1, True, 100))
    heard = any_sink.pull(len(clip))
    expected = clip[100:]
    assert np.array_equal(heard[FADE_FRAMES : len(expected)], expected[FADE_FRAMES:])
    ramp = np.arange(1, FADE_FRAMES + 1)[:, None] / FADE_FRAMES
    assert np.allclose(heard[:FADE_FRAMES], expected[:FADE_FRAMES] * ramp, atol=1e-6)
    any_sink.pull(2 * any_sink.block)
    assert not is_playing(any_sink)
    assert playhead(any_sink) == len(clip)
    assert any_sink.state.ints[shared.ACKNOWLEDGED] == 1


def test_nothing_asked_is_silence(one_sink: Sink) -> None:
    assert not np.any(one_sink.pull(1000))
    assert one_sink.state.floats[shared.PEAK_LEFT] == 0.0


def test_the_playhead_moves_without_a_clip_until_one_comes(one_sink: Sink) -> None:
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    assert not np.any(one_sink.pull(1280))
    assert playhead(one_sink) == 1280
    clip = sine(440.0, 0.5)
    one_sink.mixer.set_clip(clip)
    heard = one_sink.pull(1280)
    assert np.array_equal(heard[SWAP_FRAMES:1280], clip[1280 + SWAP_FRAMES : 2560])


def test_swapping_clips_does_not_click_and_keeps_the_playhead(any_sink: Sink) -> None:
    first, second = sine(440.0, 1.0), sine(554.0, 1.0)
    any_sink.mixer.set_clip(first)
    any_sink.mixer.set_transport(SetTransport(1, True, 0))
    before = any_sink.pull(5000)
    any_sink.mixer.set_clip(second)
    after = any_sink.pull(5000)
    heard = np.concatenate([before, after])
    # In a cross-fade both clips' slopes and the ramp's own add up, weighted; 1 % beyond the steeper clip allows for it.
    assert largest_step(heard) <= largest_step(second) + 0.5 * 1.0 / SWAP_FRAMES
    start = len(before) + SWAP_FRAMES
    assert np.array_equal(heard[start:], second[start : len(heard)])


def test_swapping_to_the_same_audio_is_not_heard(one_sink: Sink) -> None:
    clip = sine(440.0, 1.0)
    one_sink.mixer.set_clip(clip)
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    before = one_sink.pull(5000)
    one_sink.mixer.set_clip(clip.copy())
    heard = np.concatenate([before, one_sink.pull(5000)])
    assert np.allclose(heard[FADE_FRAMES:], clip[FADE_FRAMES : len(heard)], atol=1e-6)


def test_a_loop_is_exact_to_the_sample(any_sink: Sink) -> None:
    clip = np.random.default_rng(1).uniform(-0.5, 0.5, (20_000, 2)).astype(np.float32)
    start, end = 3_001, 7_777
    any_sink.mixer.set_clip(clip)
    any_sink.mixer.set_transport(SetTransport(1, True, 1_000, start, end))
    heard = any_sink.pull(30_000)
    period = end - start
    for turn in range(4):
        begin = end - 1_000 + turn * period
        body = heard[begin + FADE_FRAMES : begin + period]
        assert np.array_equal(body, clip[start + FADE_FRAMES : end])


def test_a_loop_does_not_click(any_sink: Sink) -> None:
    """The loop's ends are far apart in phase."""
    clip = sine(440.0, 1.0)
    start, end = 4_800, 4_800 + 6_027
    assert abs(clip[end, 0] - clip[start, 0]) > 0.4
    any_sink.mixer.set_clip(clip)
    any_sink.mixer.set_transport(SetTransport(1, True, start, start, end))
    assert largest_step(any_sink.pull(40_000)) <= largest_step(clip) + 1.0 / FADE_FRAMES


def test_a_tiny_loop_is_lengthened_and_can_be_left(any_sink: Sink) -> None:
    any_sink.mixer.set_clip(sine(440.0, 1.0))
    any_sink.mixer.set_transport(SetTransport(1, True, 500, 500, 501))
    any_sink.pull(20_000)
    assert 500 <= playhead(any_sink) < 500 + MIN_LOOP_FRAMES
    any_sink.mixer.set_transport(SetTransport(2, False))
    any_sink.pull(20_000)
    assert not is_playing(any_sink)
    assert not np.any(any_sink.pull(5_000))


def test_pause_resume_and_seek_do_not_click(any_sink: Sink) -> None:
    clip = sine(440.0, 2.0)
    any_sink.mixer.set_clip(clip)
    commands = [
        SetTransport(1, True, 0),
        SetTransport(2, True, 30_011),
        SetTransport(3, False),
        SetTransport(4, False, 9_000),
        SetTransport(5, True),
    ]
    heard = []
    for command in commands:
        any_sink.mixer.set_transport(command)
        heard.append(any_sink.pull(5_000))
        assert any_sink.state.ints[shared.ACKNOWLEDGED] == command.serial
    assert largest_step(np.concatenate(heard)) <= largest_step(clip) + 1.0 / FADE_FRAMES
    assert playhead(any_sink) == 9_000 + len(heard[-1])
    assert not np.any(heard[3])


def test_a_command_that_overtakes_another_keeps_its_start(one_sink: Sink) -> None:
    one_sink.mixer.set_clip(sine(440.0, 1.0))
    one_sink.mixer.set_transport(SetTransport(1, True, 7_000))
    one_sink.mixer.set_transport(SetTransport(2, False))
    one_sink.pull(1_000)
    assert playhead(one_sink) == 7_000


def test_what_is_not_sound_becomes_silence_and_is_counted(one_sink: Sink) -> None:
    clip = sine(440.0, 1.0)
    clip[1_000, 0] = np.nan
    clip[3_000] = 40.0
    one_sink.mixer.set_clip(clip)
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    heard = one_sink.pull(6_000)
    assert np.all(np.isfinite(heard))
    assert np.max(np.abs(heard)) == 1.0
    assert one_sink.state.ints[shared.FAULTS] == 1


def test_a_fault_is_stored_and_never_raised(one_sink: Sink) -> None:
    one_sink.mixer.set_clip(np.zeros((5_000, 3), dtype=np.float32))  # three channels: cannot be mixed
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    assert not np.any(one_sink.pull(256))
    assert isinstance(one_sink.mixer.fault, ValueError)
    assert one_sink.state.ints[shared.FAULTS] == 2


def test_the_meter_shows_peak_and_rms(one_sink: Sink) -> None:
    one_sink.mixer.set_clip(sine(997.0, 4.0, amplitude=0.5))
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    one_sink.pull(2 * SAMPLE_RATE_HZ)
    floats = one_sink.state.floats
    assert floats[shared.PEAK_LEFT] == pytest.approx(0.5, rel=0.02)
    assert floats[shared.PEAK_RIGHT] == pytest.approx(0.25, rel=0.02)
    assert floats[shared.RMS_LEFT] == pytest.approx(0.5 / 2**0.5, rel=0.02)
    one_sink.mixer.set_transport(SetTransport(2, False))
    one_sink.pull(SAMPLE_RATE_HZ)
    assert 20 * np.log10(floats[shared.PEAK_LEFT] / 0.5) == pytest.approx(-24.0, abs=1.0)


def test_replaced_clips_are_let_go_of_by_the_control_thread(one_sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixer, "KEEP_CLIP_S", 0.0)
    first = sine(440.0, 1.0)
    one_sink.mixer.set_clip(first)
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    one_sink.pull(1_000)
    one_sink.mixer.set_clip(sine(550.0, 1.0))
    one_sink.mixer.sweep()
    assert any(clip is first for clip, _ in one_sink.mixer._kept)  # the audio thread still reads it
    one_sink.pull(2_000)
    one_sink.mixer.sweep()
    assert not any(clip is first for clip, _ in one_sink.mixer._kept)


def test_a_preview_sounds_once_from_the_next_block_on_whatever_the_transport_does(any_sink: Sink) -> None:
    preview = sine(330.0, 0.25)
    any_sink.mixer.preview.set(preview)
    heard = any_sink.pull(len(preview) + 2 * any_sink.block)
    assert np.array_equal(heard[ATTACK_FRAMES : len(preview)], preview[ATTACK_FRAMES:])
    assert np.any(heard[: min(any_sink.block, ATTACK_FRAMES)])
    assert not np.any(heard[len(preview) :])
    assert not is_playing(any_sink)
    assert playhead(any_sink) == 0


def test_the_next_preview_takes_over_without_a_click_and_none_ends_it(one_sink: Sink) -> None:
    first, second = 0.5 * sine(330.0, 1.0), 0.5 * sine(440.0, 1.0)
    one_sink.mixer.preview.set(first)
    one_sink.pull(1_280)
    one_sink.mixer.preview.set(second)
    heard = one_sink.pull(1_280)
    assert np.array_equal(heard[FADE_FRAMES:1_280], second[FADE_FRAMES:1_280])
    assert largest_step(heard) < 2.0 * max(largest_step(first), largest_step(second))
    one_sink.mixer.preview.set(None)
    one_sink.mixer.sweep()
    assert any(clip is second for clip, _ in one_sink.mixer.preview._kept)
    one_sink.pull(FADE_FRAMES + 128)
    assert not np.any(one_sink.pull(1_280))
    one_sink.mixer.preview._kept = [(clip, 0.0) for clip, _ in one_sink.mixer.preview._kept]
    one_sink.mixer.sweep()
    assert one_sink.mixer.preview._kept == []


def test_a_preview_is_heard_beside_the_clip(one_sink: Sink) -> None:
    clip, preview = 0.3 * sine(440.0, 0.5), 0.3 * sine(330.0, 0.5)
    one_sink.mixer.set_clip(clip)
    one_sink.mixer.set_transport(SetTransport(1, True, 0))
    one_sink.mixer.preview.set(preview)
    heard = one_sink.pull(4_096)
    both = slice(FADE_FRAMES, 4_096)
    assert np.allclose(heard[both], clip[both] + preview[both], atol=1e-6)


def test_mixing_allocates_nothing_that_grows(one_sink: Sink) -> None:
    clip = sine(440.0, 8.0)
    one_sink.mixer.set_clip(clip)
    one_sink.mixer.set_transport(SetTransport(1, True, 0, 4_800, 9_600))
    one_sink.mixer.preview.set(sine(330.0, 0.8))
    out = np.zeros((128, 2), dtype=np.float32)
    for _ in range(50):
        one_sink.mixer.mix(out)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(500):
        one_sink.mixer.mix(out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert one_sink.mixer.fault is None
    assert peak - before < 2_048


# ---- by reading the code

ALLOWED_CALLS = {
    *("min", "max", "float", "int"),
    *("np.abs", "np.add", "np.add.reduce", "np.copyto", "np.maximum", "np.maximum.reduce", "np.minimum", "np.multiply"),
    *("time.monotonic", "time.perf_counter"),
}
FORBIDDEN_NODES = (
    *(ast.With, ast.Raise, ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp),
    *(ast.JoinedStr, ast.Lambda, ast.Import, ast.ImportFrom, ast.Yield, ast.Await, ast.Starred),
)
OWN_CALLS = (
    *("_add", "_fade_out", "_fill", "_finish", "_guard_and_measure", "_is_fading", "_jump", "_mix_block", "_mix_voice"),
    *("_play", "_publish", "_read", "_steer", "_take_wishes", "fill", "mix", "read", "start"),
)


def audio_thread_functions(source: str) -> list[ast.FunctionDef]:
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [node for node in functions if (ast.get_docstring(node) or "").startswith("Audio thread")]


def offences(function: ast.FunctionDef) -> list[str]:
    found = []
    for node in ast.walk(function):
        if isinstance(node, FORBIDDEN_NODES):
            found.append(f"{function.name}:{node.lineno} {type(node).__name__}")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called not in ALLOWED_CALLS and called.split(".")[-1] not in OWN_CALLS:
                found.append(f"{function.name}:{node.lineno} calls {called}")
            is_array_function = called.startswith("np.") and called != "np.copyto"
            if is_array_function and not any(word.arg == "out" for word in node.keywords):
                found.append(f"{function.name}:{node.lineno} {called} without out=")
    return found


@pytest.mark.parametrize("module", [mixer, output, preview_voice, rate], ids=lambda module: module.__name__)
def test_audio_thread_code_neither_allocates_nor_locks_nor_logs(module: object) -> None:
    functions = audio_thread_functions(inspect.getsource(module))  # pyright: ignore[reportArgumentType]
    assert functions
    assert [offence for function in functions for offence in offences(function)] == []


@pytest.mark.parametrize(
    "line",
    ["x = np.zeros(3)", "np.add(a, b)", "_log.info('x')", "x = [1]", "with self._lock: pass", "print(1)", "f'{x}'"],
)
def test_planted_offences_are_found(line: str) -> None:
    (function,) = audio_thread_functions(f'def f():\n    """Audio thread."""\n    {line}\n')
    assert offences(function)


# ---- clip files


def test_a_clip_file_shows_what_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "clip.f32"
    np.zeros((1_000, 2), dtype="<f4").tofile(path)
    clip = clip_file.map_clip(path, 1_000)
    with path.open("r+b") as file:
        file.seek(8 * 500)
        file.write(np.full(2, 0.25, dtype="<f4").tobytes())
    assert np.array_equal(clip[500], [0.25, 0.25])
    assert not clip.flags.writeable


@pytest.mark.parametrize("n_bytes", [0, 8 * 999])
def test_a_short_clip_file_is_a_clear_error(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "clip.f32"
    path.write_bytes(bytes(n_bytes))
    with pytest.raises(UserError, match="ends after"):
        clip_file.map_clip(path, 1_000)
    with pytest.raises(UserError, match="cannot be read"):
        clip_file.map_clip(tmp_path / "absent.f32", 1_000)
