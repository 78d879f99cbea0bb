"""What a stranger's folder may hold: links, loops, odd names, odd files, catalogues written by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synth.corpus.cutting import plan_clips
from synth.corpus.importers.catalogue import Imported, import_recordings, read_rows
from synth.corpus.importers.layouts import Terms, guess_set, read_plain
from synth.corpus.real import list_sounds, read_catalogue
from synth.corpus.survey import survey_recording
from synth.errors import UserError
from tests.synth.corpus.recordings import voice, write

TERMS = Terms("CC0-1.0", "my own voice", "")


def short(path: Path, f0_hz: float = 150.0) -> Path:
    return write(path, voice(1.1, f0_hz, 8_000, seed=int(f0_hz)), 8_000)


def take(folder: Path, into: Path, *, in_place: bool = False) -> Imported:
    return import_recordings(read_plain(folder).found, into, "mine", TERMS, in_place=in_place, n_workers=0)


def test_links_are_followed_once_and_everything_left_out_is_said(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "set"
    short(elsewhere / "one.wav")
    short(folder / "growl" / "two.wav", 200.0)
    (folder / "growl" / "there").symlink_to(elsewhere, target_is_directory=True)
    (folder / "growl" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "growl" / "file.wav").symlink_to(elsewhere / "one.wav")
    (folder / "growl" / "gone.wav").symlink_to(elsewhere / "gone.wav")
    (folder / "growl" / "three.M4A").write_bytes(b"")
    (folder / "growl" / "notes.txt").write_bytes(b"")
    os.mkfifo(folder / "growl" / "pipe.wav")  # opening it would wait for ever
    short(folder / "growl" / "x.wav", 250.0).rename(folder / "growl" / os.fsdecode(b"caf\xe9.wav"))
    paths, said = list_sounds(folder)
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        "growl/file.wav", "growl/there/one.wav", "growl/two.wav",
    ]  # fmt: skip
    words = "\n".join(said)
    for expected in (
        "growl/gone.wav: a link to nothing.", "growl/pipe.wav: not a file.", "growl/up: the same folder",
        "caf\\udce9.wav: its name is no UTF-8", "1 file ending in .m4a: convert",
    ):  # fmt: skip
        assert expected in words
    assert len(said) == 5
    words.encode()  # can be printed


def test_a_folder_with_nothing_but_other_sound_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"")
    with pytest.raises(UserError, match=r"no sound files .* 1 file ending in \.m4a"):
        list_sounds(tmp_path)


def test_somebodys_own_singers_do_not_become_vocalset(tmp_path: Path) -> None:
    (tmp_path / "male1" / "growl").mkdir(parents=True)
    assert guess_set(tmp_path) == "plain"
    (tmp_path / "male1" / "scales").mkdir()
    assert guess_set(tmp_path) == "vocalset"


def test_numbered_takes_that_leave_nothing_to_hold_out_are_said(tmp_path: Path) -> None:
    for number in range(3):
        short(tmp_path / "set" / "growl" / f"take {number + 1:03d}.wav", 100.0 + 20.0 * number)
    done = take(tmp_path / "set", tmp_path / "voices")
    assert len(done.added) == 3
    assert any("growl: by their names all 3 recordings are takes of one source" in line for line in done.warnings)


def test_a_recording_that_outlasts_all_others_is_said(tmp_path: Path) -> None:
    for number in range(4):
        short(tmp_path / "set" / "growl" / f"{'abcd'[number]}.wav", 100.0 + 20.0 * number)
    write(tmp_path / "set" / "growl" / "session.wav", voice(120.0, 130.0, 8_000), 8_000)
    done = take(tmp_path / "set", tmp_path / "voices")
    assert any("growl: mine/growl/session outlasts all others" in line for line in done.warnings)


def test_what_lies_in_the_folder_of_voices_is_not_copied_into_it(tmp_path: Path) -> None:
    short(tmp_path / "growl" / "a.wav")
    into = tmp_path / "voices"
    assert len(take(tmp_path, into).added) == 1
    again = take(tmp_path, into)
    assert (len(again.added), len(again.unchanged)) == (0, 1)
    assert [line for line in again.refused if "lies in the folder of voices" in line]


def test_a_recording_that_cannot_be_copied_keeps_no_other_out(tmp_path: Path) -> None:
    folder, into = tmp_path / "set", tmp_path / "voices"
    short(folder / "growl" / "a.wav")
    short(folder / "scream" / "b.wav", 200.0)
    (into / "mine").mkdir(parents=True)
    (into / "mine" / "scream").write_bytes(b"a file in the way")
    done = take(folder, into)
    assert done.added == ("mine/growl/a.wav",)
    assert [line.partition(":")[0] for line in done.refused] == ["scream/b.wav"]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "as spreadsheets save it"])
def test_catalogues_written_by_hand_may_be_short(tmp_path: Path, bom: bytes) -> None:
    into = tmp_path / "voices"
    short(into / "mine" / "old.wav", 300.0)
    (into / "catalog.csv").write_bytes(bom + b"file,technique,collection,duration_s\nmine/old.wav,growl,mine,3 s\n")
    assert [source.name for source in read_catalogue(into)] == ["mine/old.wav"]
    take(short(tmp_path / "set" / "growl" / "a.wav").parents[1], into)
    assert {row["split"] for row in read_rows(into)[1].values()} <= {"train", "validation", "test"}
    assert [source.name for source in read_catalogue(into)] == ["mine/old.wav", "mine/growl/a.wav"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("file,technique\na.wav,growl\na.wav,growl\n", "named twice"),
        ("file,technique,split\na.wav,growl,holdout\n", "unknown split 'holdout'"),
        ("name,technique\na.wav,growl\n", "column file|file or technique is missing"),
        ("file,technique\n\xff,growl\n", "cannot be read"),
    ],
    ids=["twice", "split", "column", "encoding"],
)
def test_catalogues_that_cannot_be_right_are_refused(tmp_path: Path, lines: str, words: str) -> None:
    short(tmp_path / "a.wav")
    (tmp_path / "catalog.csv").write_text(lines, encoding="latin-1")
    for read in (read_rows, read_catalogue):
        with pytest.raises(UserError, match=words) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)


def test_what_was_held_out_is_not_moved_by_a_contradiction(tmp_path: Path) -> None:
    """Two takes of one source, of which somebody's catalogue holds one out."""
    for number in (1, 2):
        short(tmp_path / f"song-{number}.wav", 100.0 * number)
    (tmp_path / "catalog.csv").write_text("file,technique,split\nsong-1.wav,growl,test\nsong-2.wav,growl,train\n")
    surveyed = [(source, survey_recording(source.path)) for source in read_catalogue(tmp_path)]
    with pytest.raises(UserError, match=r"song-1\.wav and song-2\.wav are takes of one source"):
        plan_clips(surveyed)
