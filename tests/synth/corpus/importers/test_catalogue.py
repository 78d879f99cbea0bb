"""Taking recordings in: once, again, more of them, bad ones, and the splits they keep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synth.corpus.build import build_corpus
from synth.corpus.importers.catalogue import Imported, import_recordings, read_rows
from synth.corpus.importers.layouts import Terms, read_plain
from synth.corpus.real import read_catalogue
from synth.errors import UserError
from tests.synth.corpus.recordings import voice, write

TERMS = Terms("CC-BY-4.0", "my own voice", "A. Singer")


def recordings(folder: Path, first: int, end: int, technique: str = "growl") -> Path:
    for number in range(first, end):
        write(folder / technique / f"phrase-{chr(97 + number)}.wav", voice(1.2, 100.0 + number, 8_000, number), 8_000)
    return folder


def take(folder: Path, into: Path, terms: Terms = TERMS, *, in_place: bool = False) -> Imported:
    return import_recordings(read_plain(folder).found, into, "mine", terms, in_place=in_place, n_workers=0)


def splits(into: Path) -> dict[str, str]:
    return {name: row["split"] for name, row in read_rows(into)[1].items()}


def test_a_second_import_changes_nothing(tmp_path: Path) -> None:
    folder, into = recordings(tmp_path / "set", 0, 5), tmp_path / "voices"
    assert len(take(folder, into).added) == 5
    before = (into / "catalog.csv").read_bytes()
    again = take(folder, into)
    assert (len(again.added), len(again.changed), len(again.unchanged)) == (0, 0, 5)
    assert (into / "catalog.csv").read_bytes() == before
    assert len([path for path in into.rglob("*") if path.is_file()]) == 6


def test_what_comes_later_moves_nothing(tmp_path: Path) -> None:
    folder, into = recordings(tmp_path / "set", 0, 12), tmp_path / "voices"
    take(folder, into)
    before = splits(into)
    assert set(before.values()) == {"train", "validation", "test"}
    take(recordings(tmp_path / "set", 12, 24), into)
    write(tmp_path / "set" / "whisper" / "w.wav", voice(1.2, 300.0, 8_000), 8_000)
    take(folder, into)
    after = splits(into)
    assert len(after) == 25
    assert {name: after[name] for name in before} == before
    assert list(after.values()).count("test") > list(before.values()).count("test")


def test_the_corpus_keeps_the_splits_of_the_catalogue(tmp_path: Path) -> None:
    folder, into = recordings(tmp_path / "set", 0, 6), tmp_path / "voices"
    take(folder, into)
    corpus = build_corpus(tmp_path / "out", into, 0.0, n_workers=0)
    assert {record.sources[0]: record.split for record in corpus.records} == splits(into)
    (record, *_) = corpus.records
    assert (record.licence, record.consent, record.attribution) == (TERMS.licence, TERMS.consent, TERMS.attribution)
    assert record.collection == "mine"


def test_changed_terms_are_entered(tmp_path: Path) -> None:
    folder, into = recordings(tmp_path / "set", 0, 2), tmp_path / "voices"
    take(folder, into)
    done = take(folder, into, Terms("CC0-1.0", "my own voice", ""))
    assert len(done.changed) == 2
    assert {source.licence for source in read_catalogue(into)} == {"CC0-1.0"}


def test_bad_recordings_are_refused_with_a_line_each(tmp_path: Path) -> None:
    folder, into = recordings(tmp_path / "set", 0, 2), tmp_path / "voices"
    (folder / "growl" / "broken.wav").write_bytes(b"RIFF nothing")
    write(folder / "growl" / "empty.wav", voice(0.0), 8_000)
    write(folder / "growl" / "silent.wav", voice(1.0) * 0.0)
    shutil.copy(folder / "growl" / "phrase-a.wav", folder / "growl" / "phrase-a-copy.wav")
    done = take(folder, into)
    assert sorted(done.added) == ["mine/growl/phrase-a-copy.wav", "mine/growl/phrase-b.wav"]
    said = {line.partition(":")[0].removeprefix("growl/"): line for line in done.refused}
    assert set(said) == {"broken.wav", "empty.wav", "silent.wav", "phrase-a.wav"}
    assert "cannot be read" in said["broken.wav"]
    assert "no sound" in said["empty.wav"]
    assert "nearly silent" in said["silent.wav"]
    assert "the same file as mine/growl/phrase-a-copy.wav" in said["phrase-a.wav"]
    assert all("\n" not in line and str(tmp_path) not in line for line in done.refused)
    assert [line for line in done.warnings if "mine/growl/phrase-b.wav: only 8000 samples a second" in line]


def test_recordings_may_stay_where_they_are(tmp_path: Path) -> None:
    folder, into = recordings(tmp_path / "set", 0, 2), tmp_path / "voices"
    take(folder, into, in_place=True)
    assert [path.name for path in into.iterdir()] == ["catalog.csv"]
    assert all(source.path.is_relative_to(folder) for source in read_catalogue(into))
    assert len(build_corpus(tmp_path / "out", into, 0.0, n_workers=0).records) == 2


def test_other_peoples_columns_are_left_alone(tmp_path: Path) -> None:
    into = tmp_path / "voices"
    write(into / "old" / "a.wav", voice(1.0))
    (into / "catalog.csv").write_text("file,technique,mood\nold/a.wav,whisper,sad\n")
    take(recordings(tmp_path / "set", 0, 1), into)
    rows = read_rows(into)[1]
    assert rows["old/a.wav"]["mood"] == "sad"
    assert rows["old/a.wav"]["split"] == ""
    assert len(rows) == 2


@pytest.mark.parametrize("terms", [Terms("", "mine", ""), Terms("CC0", " ", "")], ids=["licence", "consent"])
def test_nobodys_voice_is_taken_without_terms(tmp_path: Path, terms: Terms) -> None:
    with pytest.raises(UserError, match="licence and the singer's consent"):
        take(recordings(tmp_path / "set", 0, 1), tmp_path / "voices", terms)
    assert not (tmp_path / "voices").exists()
