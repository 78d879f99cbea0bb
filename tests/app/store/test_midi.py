"""MIDI files in and out."""

from __future__ import annotations

import importlib.util
import io
import random
from pathlib import Path
from types import ModuleType

import mido
import numpy as np
import pytest

from app.state.passage import Lane, Note, Passage, Tempo, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.resolve import resolve
from app.store.midi_export import export_midi
from app.store.midi_import import import_midi, passage_from_midi
from app.store.passages import load_passage
from app.store.presets import DEMO_FOLDER, load_preset
from synth.errors import UserError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "midi"
DIES_IRAE = FIXTURES / "dies_irae.mid"


def write(path: Path, *tracks: list, ticks: int = 480, kind: int = 1) -> Path:
    """Messages with absolute ticks in `time` -> a file. 120 bpm: 960 ticks a second."""
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    for messages in tracks:
        track, last = mido.MidiTrack(), 0
        for message in sorted(messages, key=lambda entry: entry.time):
            track.append(message.copy(time=message.time - last))
            last = message.time
        file.tracks.append(track)
    file.save(path)
    return path


def on(key: int, tick: int, velocity: int = 96, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=key, velocity=velocity, time=tick, channel=channel)


def off(key: int, tick: int, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=key, time=tick, channel=channel)


def control(number: int, value: int, tick: int, channel: int = 0) -> mido.Message:
    return mido.Message("control_change", control=number, value=value, time=tick, channel=channel)


def only_voice(path: Path, preset: Preset | None = NEUTRAL_PRESET) -> Voice:
    (voice,) = passage_from_midi(path, preset).voices
    return voice


def test_tempo_changes_of_another_track_time_the_notes(tmp_path: Path) -> None:
    tempo = [mido.MetaMessage("set_tempo", tempo=1_000_000, time=480), mido.MetaMessage("time_signature", numerator=3)]
    passage = passage_from_midi(
        write(tmp_path / "a.mid", tempo, [on(60, 480), off(60, 960), on(62, 960), off(62, 1440)])
    )
    assert passage.voices[0].notes == (Note(0.5, 1.0, 60), Note(1.5, 1.0, 62))
    assert passage.tempo == Tempo(((0.0, 120.0), (0.5, 60.0)), ((0.0, 3, 4),))
    assert passage.duration_s == 3.0


def test_smpte_time_division(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mid", [on(60, 1000), off(60, 2000)])
    content = bytearray(path.read_bytes())
    content[12:14] = bytes([256 - 25, 40])  # 25 frames a second, 40 ticks a frame
    path.write_bytes(content)
    assert only_voice(path).notes == (Note(1.0, 1.0, 60),)


def test_tracks_and_channels_become_voices(tmp_path: Path) -> None:
    named = [
        mido.MetaMessage("track_name", name="Alto"),
        on(60, 0),
        off(60, 480),
        on(50, 0, channel=3),
        off(50, 480, 3),
    ]
    passage = passage_from_midi(write(tmp_path / "a.mid", named, [on(70, 0), off(70, 480)], [control(1, 3, 0)]))
    assert [voice.name for voice in passage.voices] == ["Alto, channel 1", "Alto, channel 4", "Track 2"]
    assert [voice.notes[0].note for voice in passage.voices] == [60, 50, 70]
    assert len({voice.seed for voice in passage.voices}) == 3


def test_chords_are_shared_out_and_legato_is_not(tmp_path: Path) -> None:
    chord = [on(60, 0), on(64, 0), on(67, 0), off(60, 960), off(64, 960), off(67, 960)]
    result = import_midi(write(tmp_path / "a.mid", chord))
    assert [voice.notes[0].note for voice in result.passage.voices] == [67, 64, 60]
    assert result.remarks == ("Track 1: chords became 3 voices.",)
    legato = [on(60, 0), on(64, 940), off(60, 960), off(64, 1920)]
    assert len(only_voice(write(tmp_path / "b.mid", legato)).notes) == 2


def test_controllers_become_lanes(tmp_path: Path) -> None:
    messages = [
        on(60, 0), off(60, 3840),
        control(1, 127, 960), control(2, 64, 0), control(74, 127, 0), control(74, 0, 1920),
        mido.Message("aftertouch", value=127, time=960), mido.Message("polytouch", note=60, value=0, time=1920),
    ]  # fmt: skip
    voice = only_voice(write(tmp_path / "a.mid", messages))
    assert set(voice.lanes) == {"roughness", "breathiness", "technique.growl", "tension"}
    rough = voice.lanes["roughness"]
    assert rough.value_at(0.9) == 0
    assert rough.value_at(1.0) == 1
    assert voice.lanes["breathiness"].value_at(2.0) == pytest.approx(64 / 127, abs=1e-4)
    assert voice.lanes["technique.growl"].value_at(1.9) == 1
    assert voice.lanes["technique.growl"].value_at(2.1) == 0
    tension = voice.lanes["tension"]
    assert tension.value_at(0.5) == 0.5
    assert tension.value_at(1.5) == 1
    assert tension.value_at(2.5) == 0


def test_a_dense_controller_ramp_becomes_a_line_with_few_points(tmp_path: Path) -> None:
    ramp = [control(1, value, 10 * value) for value in range(128)]
    lane = only_voice(write(tmp_path / "a.mid", [on(60, 0), off(60, 1920), *ramp])).lanes["roughness"]
    assert len(lane.points) <= 4
    errors = [abs(lane.value_at(10 * value / 960) - value / 127) for value in range(128)]
    assert max(errors) < 1 / 127


def test_pitch_bend_honours_its_range(tmp_path: Path) -> None:
    wheel = [mido.Message("pitchwheel", pitch=8191, time=0), mido.Message("pitchwheel", pitch=-8192, time=960)]
    notes = [on(60, 0), off(60, 1920)]
    lane = only_voice(write(tmp_path / "a.mid", [*notes, *wheel])).lanes["bend"]
    assert (lane.value_at(0.0), lane.value_at(1.5)) == (2.0, -2.0)
    ranged = [control(101, 0, 0), control(100, 0, 0), control(6, 7, 0), control(38, 50, 0)]
    lane = only_voice(write(tmp_path / "b.mid", [*ranged, *notes, *wheel])).lanes["bend"]
    assert (lane.value_at(0.0), lane.value_at(1.5)) == (7.5, -7.5)
    other = [control(99, 0, 0), control(98, 0, 0), control(6, 7, 0)]  # an NRPN is not the bend range
    assert only_voice(write(tmp_path / "c.mid", [*other, *notes, *wheel])).lanes["bend"].value_at(1.5) == -2.0
    wide = [control(101, 0, 0), control(100, 0, 0), control(6, 48, 0)]
    result = import_midi(write(tmp_path / "d.mid", [*wide, *notes, *wheel]))
    assert result.passage.voices[0].lanes["bend"].value_at(0.0) == 24.0
    assert "limited to 24" in result.remarks[0]


def test_volume_times_expression_times_velocity_is_loudness(tmp_path: Path) -> None:
    messages = [on(60, 0), off(60, 960), on(60, 960, 127), off(60, 1920), control(11, 90, 0), control(7, 50, 480)]
    voice = only_voice(write(tmp_path / "a.mid", messages))
    passage = Passage(3.0, voices=(voice,))
    loudness = resolve(passage, voice, NEUTRAL_PRESET, 0, 300).values["loudness"]
    expression_db, volume_db = 40 * np.log10(90 / 127), 40 * np.log10(50 / 100)
    struck_db = NEUTRAL_PRESET.velocity_to_loudness_db * 31 / 127
    expected = [-24 + expression_db, -24 + expression_db + volume_db, -24 + expression_db + volume_db + struck_db]
    np.testing.assert_allclose(loudness[[20, 80, 150]], expected, atol=0.3)
    resting = [on(60, 0), off(60, 960), control(7, 100, 0), control(11, 127, 0)]
    assert "loudness" not in only_voice(write(tmp_path / "b.mid", resting)).lanes


def test_hung_notes_end_with_their_track_and_far_notes_come_nearer(tmp_path: Path) -> None:
    result = import_midi(write(tmp_path / "a.mid", [on(5, 0), on(120, 960), off(120, 1920), control(1, 0, 2880)]))
    (hung, other) = [voice.notes[0] for voice in result.passage.voices]
    assert (hung.note, hung.start_s, hung.end_s) == (29, 0.0, 3.0)
    assert other.note == 96
    assert any("never released" in remark for remark in result.remarks)
    assert sum("moved by octaves" in remark for remark in result.remarks) >= 1


def test_programs_choose_presets_unless_one_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    notes = [on(60, 0), off(60, 480)]
    path = write(tmp_path / "a.mid", [mido.Message("program_change", program=3), *notes])
    assert only_voice(path, None).preset == "growl"
    assert only_voice(path, load_preset("scream")).preset == "scream"
    result = import_midi(write(tmp_path / "b.mid", [mido.Message("program_change", program=99), *notes]))
    assert result.passage.voices[0].preset is None
    assert "program 100 has no preset" in result.remarks[0]


def test_broken_truncated_and_foreign_files(tmp_path: Path) -> None:
    whole = DIES_IRAE.read_bytes()
    path = tmp_path / "x.mid"
    cases = {
        b"": "is empty",
        b"RIFF....WAVEfmt ": "is not a MIDI file",
        b"MThd": "in the middle|broken",
        whole[:20]: "in the middle|broken|no notes",
        whole[: len(whole) // 2]: "ends in the middle",
        whole[:12] + b"\x00\x00" + whole[14:]: "0 ticks to a beat",
        whole[:9] + b"\x02" + whole[10:]: r"type 2",
    }
    for content, message in cases.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            passage_from_midi(path)
    with pytest.raises(UserError, match="cannot be read"):
        passage_from_midi(tmp_path / "none.mid")
    with pytest.raises(UserError, match="holds no notes"):
        passage_from_midi(write(path, [control(1, 3, 0)]))
    slow = [mido.MetaMessage("set_tempo", tempo=16_777_215), on(60, 0), off(60, 960 * 1000)]
    with pytest.raises(UserError, match="longer than 4 h"):
        passage_from_midi(write(path, slow, ticks=96))


def test_damaged_bytes_are_a_passage_or_one_clear_line(tmp_path: Path) -> None:
    """Three hundred files with one to eight bytes changed: whatever the parser stumbles over must not come through."""
    whole, path = DIES_IRAE.read_bytes()[:1500], tmp_path / "x.mid"
    dice = random.Random(4)
    refusals: list[str] = []
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            content[dice.randrange(8, len(content))] = dice.randrange(256)
        content[18:22] = (len(content) - 22).to_bytes(4, "big")
        path.write_bytes(content)
        try:
            passage_from_midi(path, NEUTRAL_PRESET)
        except UserError as fault:
            refusals.append(str(fault))
    assert refusals
    assert not any("\n" in line for line in refusals)


def test_export_and_import_agree(tmp_path: Path) -> None:
    voice = Voice(
        name="Solo",
        notes=(Note(0.5, 1.0, 60.25, 100), Note(1.5, 1.5, 67, 50)),
        lanes={
            "bend": Lane(((0.0, 0.0), (3.0, 6.0))),
            "roughness": Lane(((0.0, 0.0), (3.5, 1.0))),
            "loudness": Lane(((0.0, -40.0), (3.5, -22.0))),
        },
    )
    passage = Passage(3.5, Tempo(((0.0, 90.0), (1.25, 133.0))), (voice,))
    export_midi(passage, tmp_path / "a.mid")
    back = passage_from_midi(tmp_path / "a.mid", NEUTRAL_PRESET)
    before = resolve(passage, voice, NEUTRAL_PRESET, 50, 250).values
    after = resolve(back, back.voices[0], NEUTRAL_PRESET, 50, 250).values
    assert back.voices[0].name == "Solo"
    for lane_id, within in (("pitch", 0.05), ("roughness", 0.02), ("loudness", 1.0), ("presence", 0.4)):
        apart = np.abs(after[lane_id] - before[lane_id])
        apart[98:102] = 0  # the wheel jumps where a fractional note ends, and the lane does so within a frame
        assert apart.max() < within, lane_id


def test_a_drawn_voice_is_exported_as_bent_notes(tmp_path: Path) -> None:
    voice = Voice(lanes={"pitch": Lane(((1.0, 60.0), (2.0, 72.0)))})
    passage = Passage(4.0, voices=(voice,))
    export_midi(passage, tmp_path / "a.mid")
    back = passage_from_midi(tmp_path / "a.mid", NEUTRAL_PRESET)
    assert len(back.voices[0].notes) == 1
    pitch = resolve(back, back.voices[0], NEUTRAL_PRESET, 100, 100).values["pitch"]
    np.testing.assert_allclose(pitch, resolve(passage, voice, NEUTRAL_PRESET, 100, 100).values["pitch"], atol=0.15)


@pytest.fixture(scope="module")
def dies_irae() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_dies_irae", FIXTURES / "make_dies_irae.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_chant_file_and_the_demo_are_what_the_script_writes(dies_irae: ModuleType) -> None:
    assert dies_irae.build() == DIES_IRAE.read_bytes()
    assert dies_irae.demo(DIES_IRAE) == load_passage(DEMO_FOLDER / "dies_irae.stridor")
    assert mido.MidiFile(file=io.BytesIO(dies_irae.build())).type == 0


def test_the_chant_grows_from_whisper_to_scream() -> None:
    passage = load_passage(DEMO_FOLDER / "dies_irae.stridor")
    voice = passage.voices[0]
    assert voice.preset is not None
    assert len(voice.notes) == 57
    values = resolve(passage, voice, load_preset(voice.preset), 0, passage.n_frames).values
    early, late = slice(100, 500), slice(-600, -200)
    assert values["technique.whisper"][early].mean() > 0.8 > 0.1 > values["technique.whisper"][late].mean()
    assert values["technique.scream"][late].mean() > 0.6 > 0.1 > values["technique.scream"][early].mean()
    assert values["loudness"][late].mean() - values["loudness"][early].mean() > 15
    assert values["bend"].min() < -1.0
