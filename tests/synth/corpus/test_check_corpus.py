"""What only the clips of a corpus can show: copies, doubtful labels, torn recordings; and old clip files."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from synth.atomic import write_atomically
from synth.corpus.build import build_corpus
from synth.corpus.check import check_corpus, check_voices
from synth.corpus.clip_file import read_arrays
from synth.corpus.manifest import Corpus, Split
from synth.corpus.real import Source
from synth.corpus.resemblance import MIN_CORRELATION, correlation, fingerprint, near_duplicates
from synth.corpus.simulator import simulate_random
from synth.corpus.survey import survey_recording
from synth.features.analysis import analyse
from synth.spec import Float32Array
from tests.synth.corpus.recordings import voice, write


def singer(seed: int) -> Float32Array:
    """A gesture of 4 s, at 48 kHz."""
    return simulate_random(seed, 4.0, "modal").audio


def course(audio: Float32Array) -> Float32Array:
    return fingerprint(analyse(audio).mfcc)


def source(folder: Path, name: str, label: str, split: Split, licence: str = "CC0-1.0") -> Source:
    return Source(folder, name, "c", label, licence, "given", "", given_split=split)


def test_a_copy_is_heard_through_level_equaliser_and_trimming() -> None:
    audio = singer(5)
    brighter = np.asarray(lfilter([1.0, -0.3], [1.0], audio), dtype=np.float32)
    copy = brighter[9_600:-4_800] * np.float32(0.5)
    assert correlation(course(audio), course(copy)) > MIN_CORRELATION
    others = [course(singer(seed)) for seed in range(6, 12)]
    found = near_duplicates([*others, course(audio), course(copy)])
    assert [(first, second) for first, second, _ in found] == [(6, 7)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("voices")
    audio = singer(5)
    rng = np.random.default_rng(0)
    write(folder / "one.wav", audio, 48_000)
    write(folder / "louder.wav", audio[4_800:] * np.float32(0.6), 48_000)
    hiss = np.asarray(lfilter([1.0], [1.0, -0.7], rng.normal(size=4 * 48_000)), dtype=np.float32)
    write(folder / "hiss.wav", hiss * np.repeat(np.array([0.02, 0.03, 0.02, 0.03], dtype=np.float32), 48_000), 48_000)
    sources = [
        source(folder, "one.wav", "modal", "train"),
        source(folder, "louder.wav", "modal", "test"),
        source(folder, "hiss.wav", "growl", "train"),
    ]
    return build_corpus(tmp_path_factory.mktemp("out"), None, 0.0, n_workers=0, extra_sources=sources)


def test_copies_across_splits_and_doubtful_labels_are_found(corpus: Corpus) -> None:
    said = {problem.message.split(",")[0]: problem for problem in check_corpus(corpus)}
    leak = next(problem for message, problem in said.items() if message.startswith("a copy of"))
    assert leak.severity == "error"
    assert "lies in train" in leak.message
    doubt = said["labelled growl"]
    assert doubt.severity == "warning"
    assert "hiss" in doubt.clip_id
    assert "sounds whisper" in doubt.message


def test_a_recording_in_two_splits_is_an_error(corpus: Corpus) -> None:
    record = corpus.records[0]
    torn = dataclasses.replace(record, id="torn", split="validation", family="another")
    problems = check_corpus(Corpus(corpus.folder, [record, torn]))
    assert any("the recording one.wav lies in two splits" in problem.message for problem in problems)


def test_clip_files_of_earlier_builds_are_read(corpus: Corpus) -> None:
    """One array a feature, as they were stored before the tables."""
    record = corpus.records[0]
    path = corpus.path(record)
    stored, arrays = read_arrays(path)
    new = path.read_bytes()
    buffer = io.BytesIO()
    record_bytes = np.frombuffer(json.dumps(stored).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, record=record_bytes, **arrays)
    write_atomically(path, buffer.getvalue())
    _, again = read_arrays(path)
    write_atomically(path, new)
    assert set(again) == set(arrays)
    for name, values in arrays.items():
        assert np.array_equal(again[name], values, equal_nan=values.dtype.kind == "f"), name


def test_folders_of_voices_are_looked_over_before_a_build(tmp_path: Path) -> None:
    write(tmp_path / "good.wav", voice(2.0))
    write(tmp_path / "hot.wav", np.clip(voice(2.0) * 8.0, -0.9, 0.9))
    sources = [source(tmp_path, "good.wav", "modal", "train", ""), source(tmp_path, "hot.wav", "modal", "train")]
    problems = check_voices([(entry, survey_recording(entry.path)) for entry in sources])
    assert [(problem.clip_id, problem.severity) for problem in problems] == [
        ("good.wav", "error"),
        ("hot.wav", "warning"),
    ]
    assert "no licence" in problems[0].message
