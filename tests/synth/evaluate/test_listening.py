"""The page is blind, whole and level; answers of known listeners give known figures."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from synth.corpus.simulator import simulate_random
from synth.errors import UserError
from synth.evaluate.listening import ListeningPlan, ListeningTest, write_page
from synth.evaluate.listening_answers import analyse_answers
from synth.evaluate.listening_material import (
    LOW_ANCHOR,
    MID_ANCHOR,
    REFERENCE,
    Material,
    low_passed,
    make_material,
)
from synth.evaluate.perceived_level import TARGET_LUFS, level_matched, loudness_lufs
from synth.evaluate.recordings import Recording
from synth.evaluate.singing import Singer
from synth.spec import SAMPLE_RATE_HZ, Float32Array
from tests.tiny_weights import tiny_engine

CONDITIONS = (REFERENCE, LOW_ANCHOR, MID_ANCHOR, "codec", "model", "world")
PLAN = ListeningPlan(n_ratings=3, n_pairs=2, preferences=(("model", "world"),), abx=(("codec", REFERENCE),))


def tone(hz: float, duration_s: float, amplitude: float = 0.1) -> Float32Array:
    t_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (amplitude * np.sin(2.0 * np.pi * hz * t_s)).astype(np.float32)


def materials(n: int = 4) -> list[Material]:
    return [
        Material(f"clip-{i}", "growl", {name: tone(100.0 * (i + 1) + j, 0.5) for j, name in enumerate(CONDITIONS)})
        for i in range(n)
    ]


@pytest.fixture
def test_page(tmp_path: Path) -> ListeningTest:
    return write_page(tmp_path, materials(), PLAN, seed=11, about={"weights_hash": "abc", "quality": "draft"})


def described(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="test">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def sounds_of(page: str) -> dict[str, bytes]:
    return {
        name: base64.b64decode(text)
        for name, text in re.findall(r'<script type="text/plain" id="audio-(\w+)">([^<]*)</script>', page)
    }


def test_the_page_names_no_condition_and_no_recording(test_page: ListeningTest) -> None:
    page = test_page.page.read_text()
    told = json.dumps(described(page))
    for word in ("codec", "world", "anchor", "clip-", "weights"):
        assert word not in told.lower(), word
    readable = re.sub(r'<script type="text/plain".*?</script>', "", page)
    for word in ("codec", "WORLD", "low anchor", "mid anchor", "clip-1", "abc"):
        assert word not in readable.replace('"use strict"', ""), word
    assert not re.search(r"https?://", page)
    assert "Content-Security-Policy" in page


def test_every_stimulus_is_there_and_plays(test_page: ListeningTest) -> None:
    page = test_page.page.read_text()
    sounds, trials = sounds_of(page), described(page)["trials"]
    assert len(trials) == test_page.n_trials == 4 + 2 + 2
    assert sum(trial["practice"] for trial in trials) == 1
    wanted = {name for trial in trials for name in (trial["reference"], *trial["stimuli"])}
    assert wanted == set(sounds)
    audio, rate_hz = soundfile.read(io.BytesIO(next(iter(sounds.values()))))
    assert rate_hz == SAMPLE_RATE_HZ
    assert len(audio) == SAMPLE_RATE_HZ // 2
    assert np.abs(audio).max() == pytest.approx(0.1, abs=0.001)


def test_the_hidden_reference_is_no_copy_of_the_open_one(test_page: ListeningTest) -> None:
    page, key = test_page.page.read_text(), json.loads(test_page.key.read_text())
    sounds = sounds_of(page)
    trial = next(trial for trial in described(page)["trials"] if trial["kind"] == "rating")
    hidden = next(name for name, what in key["trials"][trial["id"]]["stimuli"].items() if what == REFERENCE)
    assert hidden != trial["reference"]
    assert sounds[hidden] != sounds[trial["reference"]]
    heard = [soundfile.read(io.BytesIO(sounds[name]))[0] for name in (hidden, trial["reference"])]
    assert np.abs(heard[0] - heard[1]).max() < 2.5 / 32768
    # Neither ids nor their order say what is what: sorted, every condition stands at several places.
    places = {
        condition: {
            sorted(one["stimuli"]).index(name)
            for one in ratings
            for name, c in one["stimuli"].items()
            if c == condition
        }
        for ratings in [[one for one in key["trials"].values() if one["kind"] == "rating"]]
        for condition in CONDITIONS
    }
    assert sum(len(found) > 1 for found in places.values()) >= 5


def test_a_seed_makes_the_same_page_and_none_another(tmp_path: Path) -> None:
    pages = [
        write_page(tmp_path / name, materials(2), PLAN, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", None))
    ]
    texts = [made.page.read_bytes() for made in pages]
    assert texts[0] == texts[1]
    assert pages[0].test != pages[2].test
    assert json.loads(pages[2].key.read_text())["seed"] > 0
    with pytest.raises(UserError):
        write_page(tmp_path, [], PLAN)


def test_anchors_pass_what_is_below_and_stop_what_is_above() -> None:
    def level(audio: Float32Array) -> float:
        return float(np.sqrt(np.mean(np.square(audio[4800:-4800], dtype=np.float64))))

    for cutoff_hz in (3_500.0, 7_000.0):
        low, high = tone(cutoff_hz - 300.0, 0.5), tone(cutoff_hz + 300.0, 0.5)
        assert level(low_passed(low, cutoff_hz)) == pytest.approx(level(low), rel=0.01)
        assert level(low_passed(high, cutoff_hz)) < 0.003 * level(high)


def test_loudness_is_that_of_the_recommendation() -> None:
    """BS.1770: a 0 dB full scale sine of 997 Hz in one channel has -3.01 LUFS; halving the level takes 6 off it."""
    assert loudness_lufs(tone(997.0, 2.0, 1.0)) == pytest.approx(-3.01, abs=0.03)
    assert loudness_lufs(tone(997.0, 2.0, 0.5)) == pytest.approx(-9.03, abs=0.03)
    # A pause is gated: it does not make the voice quieter.
    paused = np.concatenate([tone(997.0, 2.0, 0.5), np.zeros(3 * SAMPLE_RATE_HZ, dtype=np.float32)])
    assert loudness_lufs(paused) == pytest.approx(-9.03, abs=0.7)
    assert loudness_lufs(np.zeros(4800, dtype=np.float32)) == float("-inf")
    assert loudness_lufs(tone(100.0, 1.0)) < loudness_lufs(tone(3_000.0, 1.0)) - 3.0


def test_levels_are_matched_without_clipping() -> None:
    spiky = tone(500.0, 1.0, 0.01)
    spiky[1000] = 0.9
    made = level_matched(
        {"quiet": tone(500.0, 1.0, 0.01), "loud": tone(2_000.0, 1.0, 0.7), "still": np.zeros(48_000, dtype=np.float32)}
    )
    assert loudness_lufs(made["quiet"]) == pytest.approx(TARGET_LUFS, abs=0.1)
    assert loudness_lufs(made["loud"]) == pytest.approx(TARGET_LUFS, abs=0.1)
    assert not made["still"].any()
    held = level_matched({"spiky": spiky, "plain": tone(500.0, 1.0, 0.3)})
    assert max(np.abs(audio).max() for audio in held.values()) <= 0.981
    assert loudness_lufs(held["spiky"]) == pytest.approx(loudness_lufs(held["plain"]), abs=0.1)


@pytest.mark.world
def test_material_of_a_model_and_of_somebody_else(tmp_path: Path) -> None:
    singer = Singer(tiny_engine(tmp_path / "weights"), "live")
    recording = Recording("whisper-0", "whisper", simulate_random(205, 0.8, "breathy").audio)
    with pytest.raises(UserError, match="whisper-0"):
        make_material(singer, [recording], {"peer": tmp_path})
    soundfile.write(tmp_path / "whisper-0.wav", np.stack([recording.audio[::2]] * 2, axis=1), 24_000)
    (made,) = make_material(singer, [recording], {"peer": tmp_path})
    assert set(made.sounds) == {*CONDITIONS, "model, timbre over time", "peer"}
    assert {len(audio) for audio in made.sounds.values()} == {len(recording.audio)}
    loudness = [loudness_lufs(audio) for audio in made.sounds.values()]
    assert max(loudness) - min(loudness) < 0.5
    assert all(abs(audio[0]) < 1e-3 for audio in made.sounds.values())


# ---- answers


def answer(
    test: ListeningTest, folder: Path, listener: str, score: Callable[[str], float], *, hears_abx: bool = True
) -> Path:
    """What the page saves for a listener who gives every condition `score` and prefers the higher one."""
    key = json.loads(test.key.read_text())
    answers = []
    for name, trial in key["trials"].items():
        slots = sorted(trial["stimuli"])
        one = {"trial": name, "kind": trial["kind"], "practice": trial["practice"], "slots": slots}
        one |= {"comment": "dull" if trial["practice"] else "", "played": {}, "seconds": 10.0}
        scores = {stimulus: score(condition) for stimulus, condition in trial["stimuli"].items()}
        if trial["kind"] == "rating":
            one["scores"] = scores
        elif trial["kind"] == "preference":
            one["choice"] = max(scores, key=lambda stimulus: scores[stimulus])
        else:
            one |= {"x": slots[0], "choice": slots[0] if hears_abx else slots[1]}
        answers.append(one)
    stored = {"format": "stridor-listening-results", "revision": 1, "test": test.test, "listener": listener}
    path = folder / f"{listener}.json"
    path.write_text(json.dumps(stored | {"seed": 1, "answers": answers}))
    return path


SCORES = {REFERENCE: 100.0, "codec": 80.0, "model": 70.0, "world": 60.0, MID_ANCHOR: 50.0, LOW_ANCHOR: 20.0}


def test_known_listeners_give_known_figures(test_page: ListeningTest, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    for index in range(7):
        answer(
            test_page,
            folder,
            f"listener-{index}",
            lambda condition, i=index: min(100.0, SCORES[condition] + i * (condition != REFERENCE)),
        )
    answer(test_page, folder, "asleep", lambda condition: 50.0, hears_abx=False)
    answer(test_page, folder, "generous", lambda condition: 100.0)
    report = analyse_answers([folder], test_page.key)
    kept = {found.listener: found.is_kept for found in report.listeners}
    assert kept == {"asleep": False, "generous": False, **{f"listener-{index}": True for index in range(7)}}
    scores = {found.condition: found.score for found in report.scores}
    assert next(iter(scores)) == REFERENCE
    assert scores["codec"].value == pytest.approx(83.0)
    assert scores["codec"].low < 83.0 < scores["codec"].high
    tests = {(found.a, found.b): found for found in report.tests}
    assert tests["codec", "model"].difference.value == pytest.approx(10.0)
    assert tests["codec", "model"].unit == "listeners"
    assert 2 / 2**7 <= tests["codec", "model"].p_holm == pytest.approx(15 * 2 / 2**7)
    pairs = {found.kind: found for found in report.pairs}
    assert (pairs["preference"].a, pairs["preference"].wins, pairs["preference"].losses) == ("model", 18, 0) or (
        pairs["preference"].wins == 16
    )
    assert pairs["abx"].wins == 16
    assert pairs["abx"].losses == 2
    assert pairs["abx"].p < 0.01
    assert {words for *_, words in report.comments} == {"dull"}
    assert "screened out: asleep, generous" in report.lines()[0]
    json.dumps(report.to_json(), allow_nan=False)
    alone = analyse_answers([folder / "asleep.json"], test_page.key)
    assert alone.scores == ()
    assert "0 of 1 listeners kept" in alone.lines()[0]
    assert not any("score 0-100" in line for line in alone.lines())


def test_few_listeners_are_paired_by_recording_and_equal_ones_do_not_differ(
    test_page: ListeningTest, tmp_path: Path
) -> None:
    same = dict.fromkeys(("codec", "model", "world"), 70.0)
    paths = [answer(test_page, tmp_path, name, lambda condition: (SCORES | same)[condition]) for name in ("one", "two")]
    report = analyse_answers(paths, test_page.key)
    tests = {(found.a, found.b): found for found in report.tests}
    assert tests["codec", "model"].unit == "recordings"
    assert np.isnan(tests["codec", "model"].p_holm)  # three recordings are too few to tell
    assert tests["codec", "model"].difference.value == 0.0


@pytest.mark.parametrize("spoil", ["format", "test", "slots", "score", "text"])
def test_answers_that_do_not_fit_are_a_line(test_page: ListeningTest, tmp_path: Path, spoil: str) -> None:
    path = answer(test_page, tmp_path, "one", lambda condition: SCORES[condition])
    stored = json.loads(path.read_text())
    if spoil in ("format", "test"):
        stored[spoil] = "another"
    elif spoil == "slots":
        stored["answers"][0]["slots"] = ["x"]
    elif spoil == "score":
        rated = next(one for one in stored["answers"] if one["kind"] == "rating")
        rated["scores"] = dict.fromkeys(rated["scores"], 101)
    path.write_text("{" if spoil == "text" else json.dumps(stored))
    with pytest.raises(UserError):
        analyse_answers([path], test_page.key)


def test_no_answers_two_of_one_listener_and_no_key_are_a_line(test_page: ListeningTest, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no answers"):
        analyse_answers([tmp_path / "empty"], test_page.key)
    path = answer(test_page, tmp_path, "one", lambda condition: SCORES[condition])
    with pytest.raises(UserError, match="two files of one"):
        analyse_answers([path, path], test_page.key)
    with pytest.raises(UserError, match="not the key"):
        analyse_answers([path], path)
