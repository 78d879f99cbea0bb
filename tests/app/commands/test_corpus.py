"""`stridor corpus`: a set imported, looked over, built, and looked over again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.commands.conftest import Program
from tests.synth.corpus.recordings import voice, write


def vocalset(folder: Path) -> Path:
    """A small VocalSet, with a broken file in it."""
    root = folder / "FULL"
    for number, name in enumerate(("straight", "vocal_fry", "belt")):
        write(root / "male1" / "scales" / name / f"m1_scales_{name}_a.wav", voice(1.5, 110.0 + number, seed=number))
    write(root / "female1" / "long_tones" / "lip_trill" / "f1_long_lip_trill_a.wav", voice(1.5, 200.0))
    (root / "male1" / "scales" / "belt" / "broken.wav").write_bytes(b"RIFF")
    return folder


def test_a_set_goes_in_and_becomes_a_corpus(tmp_path: Path, stridor: Program) -> None:
    voices, out = tmp_path / "voices", tmp_path / "corpus"
    words = ("corpus", "import", vocalset(tmp_path / "set"), "--into", voices, "--skip-label", "lip_trill",
             "--workers", "0")  # fmt: skip
    first = stridor(*words)
    assert first.status == 0
    assert "3 recordings added" in first.out
    assert [line for line in first.out.splitlines() if line.startswith("refused: male1/scales/belt/broken.wav")]
    again = json.loads(stridor(*words, "--json").out)
    assert (again["added"], again["unchanged"], again["set"]) == ([], 3, "vocalset")
    looked = json.loads(stridor("corpus", "check", voices, "--workers", "0", "--json").out)
    assert (looked["recordings"], looked["problems"]) == (3, [])
    built = json.loads(stridor("corpus", "build", out, "--voices", voices, "--workers", "0", "--json").out)
    assert built["clips"] == 3
    assert set(built["recordings_sha256"]) == {"train", "validation", "test"}
    checked = stridor("corpus", "check", out)
    assert checked.status == 0
    assert "3 clips: 0 errors" in checked.out
    less = stridor("corpus", "build", out, "--simulated-minutes", "0.05", "--workers", "0")
    assert less.status == 0
    assert "3 clips of the earlier build are no part of it any more" in less.out


def test_a_plain_folder_needs_words_of_its_own(tmp_path: Path, stridor: Program) -> None:
    folder = tmp_path / "takes"
    write(folder / "a.wav", voice(1.5))
    words = ("corpus", "import", folder, "--into", tmp_path / "voices", "--technique", "scream", "--workers", "0")
    refused = stridor(*words)
    assert refused.status == 2
    assert "consent" in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    taken = stridor(*words, "--licence", "CC-BY-4.0", "--consent", "my own voice", "--author", "A. Singer")
    assert taken.status == 0
    assert (tmp_path / "voices" / "takes" / "a.wav").is_file()


def test_a_label_nobody_knows_cannot_be_skipped(tmp_path: Path, stridor: Program) -> None:
    words = ("corpus", "import", vocalset(tmp_path / "set"), "--into", tmp_path / "voices", "--skip-label", "lip-trill")
    ran = stridor(*words)
    assert ran.status == 2
    assert "Unknown label 'lip-trill'" in ran.err
    assert not (tmp_path / "voices").exists()


def test_a_folder_without_anything_usable_fails(tmp_path: Path, stridor: Program) -> None:
    folder = tmp_path / "takes"
    write(folder / "a.wav", voice(1.5) * 0.0)
    ran = stridor(
        "corpus", "import", folder, "--into", tmp_path / "voices", "--technique", "growl", "--licence", "CC0-1.0",
        "--consent", "given", "--workers", "0",
    )  # fmt: skip
    assert ran.status == 2
    assert "nearly silent" in ran.out
    assert "Nothing could be imported" in ran.err


def test_errors_give_an_exit_status(tmp_path: Path, stridor: Program) -> None:
    write(tmp_path / "a" / "x.wav", voice(1.5))
    (tmp_path / "catalog.csv").write_text("file,technique,licence\na/x.wav,whisper,\n")
    ran = stridor("corpus", "check", tmp_path, "--workers", "0")
    assert ran.status == 2
    assert "error: a/x.wav: no licence is named" in ran.out


@pytest.mark.expects_log("cannot be read")
def test_a_broken_recording_does_not_keep_the_others_out(tmp_path: Path, stridor: Program) -> None:
    write(tmp_path / "a" / "x.wav", voice(1.5))
    (tmp_path / "a" / "y.wav").write_bytes(b"RIFF")
    write(tmp_path / "a" / "z.wav", voice(1.5) * 1e-4)
    lines = [f"a/{name}.wav,whisper,CC0-1.0\n" for name in "xyz"]
    (tmp_path / "catalog.csv").write_text("file,technique,licence\n" + "".join(lines))
    ran = stridor("corpus", "build", tmp_path / "corpus", "--voices", tmp_path, "--workers", "0")
    assert ran.status == 2
    assert "2 recordings left out" in ran.err
    assert "y.wav cannot be read" in ran.err
    corpus = json.loads((tmp_path / "corpus" / "manifest.json").read_text())
    assert [clip["sources"] for clip in corpus["clips"]] == [["a/x.wav"]]
    assert (tmp_path / "corpus" / "manifest.json").is_file()
