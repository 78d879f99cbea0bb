"""The performance page: what it shows, what it leaves alone, and what its controls do."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.services import LiveMeter, Recorded
from app.services.machine_check import MachineCheck, doctor_command
from app.state.passage import Passage
from app.store.passages import save_passage
from synth.spec import SAMPLE_RATE_HZ
from tests.ui.fake_instrument import FakeInstrument
from ui.panels.preferences import PreferencesDialog
from ui.performance.figures import FIGURES, UNKNOWN, Tone, figures_of
from ui.performance.machine_dialog import MachineDialog
from ui.performance.processes import ProcessReader, parsed_gpu
from ui.performance.sound_analysis import FLOOR_DB, SPECTRUM_SAMPLES, SpectrumAnalyser, peak_db, rising_crossing
from ui.performance.stage_page import StagePage
from ui.theme import Theme
from ui.window import MainWindow

NAN = float("nan")
METER = replace(
    LiveMeter(**{field.name: {"str": "playing", "float": 1.5}.get(str(field.type), 3) for field in fields(LiveMeter)}),
    latency_p50_ms=7.9, latency_p95_ms=8.6, latency_p99_ms=12.4, block_frames=128, under_runs=0, n_steps=4,
    preset_made=12, preset_wanted=40, cache_bytes=64 * 2**20, cache_limit_bytes=128 * 2**20, limiter_db=-2.5,
)  # fmt: skip


def sine(hz: float, n_samples: int = 8192, gain: float = 0.5) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * np.arange(n_samples) / SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.fixture
def page(window: MainWindow, instrument: FakeInstrument) -> MainWindow:
    """The window with the page in front, its clock stopped: a test turns it."""
    window.actions_table["performance"].trigger()
    window.performance._timer.stop()
    return window


# ---- figures


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert {figure.text for figure in figures_of(None).values()} == {UNKNOWN}
    fresh = replace(
        METER, latency_p50_ms=NAN, latency_p95_ms=NAN, latency_p99_ms=NAN, block_frames=0, draw_ms=0.0, frames_ms=0.0,
        block_ms=0.0, callback_ms=NAN, device_latency_ms=NAN, n_steps=0, cache_hits=0, cache_misses=0, cache_wanted=0,
        preset_wanted=0, cache_limit_bytes=0, state="starting",
    )  # fmt: skip
    figures = figures_of(fresh)
    unknown = {
        "p50", "p95", "p99", "device latency", "period", "under-runs", "zero frames", "device under-runs",
        "late frames", "lost notes", "stolen voices", "draw", "frames", "block", "callback", "jumps", "sampler load",
        "performer load", "preset onsets", "bank onsets", "cache bytes", "hits", "misses", "limited blocks",
    }  # fmt: skip
    assert {name for name, figure in figures.items() if figure.text == UNKNOWN} == unknown
    assert set(figures) == set(FIGURES)


def test_what_is_known_is_shown_with_its_unit_and_share() -> None:
    figures = figures_of(METER)
    assert figures["p50"].text == "7.9 ms"
    assert figures["p99"].tone is Tone.WARNING  # musicians notice more than 10 ms
    assert figures["period"].text == "128 · 2.7 ms"
    assert figures["under-runs"].text == "0"
    assert figures["preset onsets"].text == "12 of 40"
    assert figures["preset onsets"].share == pytest.approx(0.3)
    assert figures["cache bytes"].text == "64 of 128 MiB"
    assert figures["block"].share == pytest.approx(1.5 / (128 / 48.0))
    assert "2.5 dB" in figures["limiter"].text


def test_the_page_shows_the_meter(page: MainWindow, instrument: FakeInstrument) -> None:
    instrument.meter, instrument.level_db = METER, (-12.0, -9.0)
    page.performance._turn = 0
    page.performance.look()
    stage = page.performance.stage
    assert stage.latency.values["p50"].text() == "7.9 ms"
    assert stage.latency.values["p95"].accessibleName() == "95 %: 8.6 ms"
    assert stage.output.values["held"].text() == "\N{MINUS SIGN}9.0 dB"
    assert "at most \N{MINUS SIGN}2.5" in stage.output.values["limiter"].text()
    assert "12 of 40" in stage.onset_words.text()
    assert page.performance.bar.state.text() == "Playing"
    assert "MB" in stage.processes.values["window"].text()
    instrument.meter = None
    page.performance._turn = 0
    page.performance.look()
    assert stage.latency.values["p50"].text() == UNKNOWN
    assert page.performance.bar.state.text() == "No live engine"


@pytest.mark.parametrize(
    ("state", "sound", "words"),
    [
        ("playing", "no device", "No sound device: reconnecting"),
        ("no sampler", "no device", "No sound device: reconnecting"),
        ("playing", "no server", "Sound server is starting"),
        ("playing", "gone", "No sound: restart Stridor"),
        ("starting", "no device", "Starting"),
        ("no performer", "playing", "Playing is starting again"),
    ],
)
def test_the_pill_says_what_is_true_and_goes_back(
    page: MainWindow, instrument: FakeInstrument, state: str, sound: str, words: str
) -> None:
    pill = page.performance.bar.state
    for meter, shown in ((replace(METER, state=state, sound=sound), words), (METER, "Playing")):
        instrument.meter, page.performance._turn = meter, 0
        page.performance.look()
        assert pill.text() == shown
        assert pill.accessibleName() == f"Live playing: {shown}"


def test_program_numbers_are_heeded_at_once_and_favourites_are_no_concern_of_the_engine(
    window: MainWindow, instrument: FakeInstrument
) -> None:
    shelf = window.parts.presets
    row = shelf.index.rows[0]
    shelf.set_favourite(row.id, True)
    assert instrument.banks_asked == 0
    shelf.set_program(row.id, 5)
    assert instrument.banks_asked == 1
    shelf.set_program(row.id, None)
    assert instrument.banks_asked == 2
    shelf.refresh()
    assert instrument.banks_asked == 3


def test_hidden_it_does_nothing_and_shown_at_most_thirty_pictures_a_second(
    window: MainWindow, instrument: FakeInstrument
) -> None:
    QTest.qWait(150)
    assert instrument.meters_asked == 0
    window.actions_table["performance"].trigger()
    begun = window.performance.n_pictures
    QTest.qWait(300)
    assert 1 <= window.performance.n_pictures - begun <= 12
    window.actions_table["performance"].trigger()
    asked = instrument.meters_asked
    QTest.qWait(150)
    assert instrument.meters_asked == asked
    assert window.timeline.isVisible()


# ---- scope and spectrum


def test_the_scope_begins_at_a_rising_zero_crossing() -> None:
    audio = sine(220.0)
    start = rising_crossing(audio, 1200)
    assert audio[start - 1] < 0.0 <= audio[start]
    assert len(audio) - start >= 1200
    noisy = audio + 0.01 * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)
    start = rising_crossing(noisy, 1200)
    assert noisy[start - 1] < 0.0 <= noisy[start]
    assert noisy[start : start + 60].mean() > 0.1  # of the tone, not of the noise about zero
    assert rising_crossing(np.zeros(4096, dtype=np.float32), 1200) == 4096 - 1200


def test_the_spectrum_finds_a_tone_and_holds_its_peak() -> None:
    analyser = SpectrumAnalyser()
    for _ in range(3):
        analyser.take(sine(1000.0, SPECTRUM_SAMPLES, 1.0))
    loudest = int(np.argmax(analyser.levels_db))
    assert analyser.bands_hz[loudest] == pytest.approx(1000.0, rel=0.03)
    assert analyser.levels_db[loudest] == pytest.approx(0.0, abs=1.5)
    for _ in range(60):
        analyser.take(np.zeros(SPECTRUM_SAMPLES, dtype=np.float32))
    assert analyser.held_db[loudest] - analyser.levels_db[loudest] > 40.0
    analyser.reset()
    assert analyser.held_db.max() == FLOOR_DB


def test_a_joined_performance_is_levelled_by_its_stream(page: MainWindow, instrument: FakeInstrument) -> None:
    assert peak_db(np.zeros(8, dtype=np.float32)) == FLOOR_DB
    instrument.live_sound = sine(220.0, gain=0.25)
    page.performance.look()
    assert max(page.performance.stage.output.bars.held_db) == pytest.approx(-12.0, abs=0.1)


def test_freeze_lets_the_pictures_stand(page: MainWindow, instrument: FakeInstrument) -> None:
    instrument.live_sound = sine(220.0)
    page.performance.look()
    stage = page.performance.stage
    before = stage.scope.shown
    assert np.abs(before).max() == pytest.approx(0.5, abs=0.01)
    stage.freeze.click()
    instrument.live_sound = sine(700.0, gain=0.2)
    page.performance.look()
    assert np.array_equal(stage.scope.shown, before)
    stage.freeze.click()
    page.performance.look()
    assert not np.array_equal(stage.scope.shown, before)


# ---- panic, recording, playing


def test_panic_is_one_click_and_one_key(page: MainWindow, instrument: FakeInstrument) -> None:
    page.performance.bar.panic.click()
    assert instrument.panics == 1
    assert "F12" in page.performance.bar.panic.text()
    QTest.keyClick(page.performance, Qt.Key.Key_F12)
    assert instrument.panics == 2


def test_panic_works_while_a_dialog_is_open(window: MainWindow, instrument: FakeInstrument, qtbot: QtBot) -> None:
    window.show_preferences()
    dialog = window.findChild(PreferencesDialog)
    assert dialog is not None
    qtbot.waitExposed(dialog)
    handle = dialog.windowHandle()
    assert window.panic_key is not None
    window.panic_key._watch(handle)  # as the platform does when the dialog gets the focus
    QTest.keyClick(handle, Qt.Key.Key_F12)
    assert instrument.panics == 1
    QTest.keyClick(handle, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert instrument.panics == 2
    QTest.keyClick(handle, Qt.Key.Key_F11)
    assert instrument.panics == 2
    dialog.reject()


def test_what_was_recorded_opens_as_a_passage(page: MainWindow, instrument: FakeInstrument, tmp_path: Path) -> None:
    page.actions_table["record"].trigger()
    assert instrument.take is not None
    instrument.take = replace(instrument.take, seconds=75.4)
    page.performance.follow_recording()
    assert page.performance.bar.time.text() == "1:15"
    page.actions_table["record"].trigger()
    assert instrument.take is None
    kept = save_passage(Passage(3.5), tmp_path / "take.stridor") or tmp_path / "take.stridor"
    instrument.queue.append(Recorded(str(tmp_path / "take.flac"), str(kept), 75.4))
    page.document.history.mark_saved()
    page.session.poll()
    assert page.document.passage.duration_s == 3.5
    assert "Recorded 1:15" in page.notice.text
    assert page.performance.bar.open_take.isVisibleTo(page)


def test_unsaved_work_is_not_put_away_by_a_recording(
    page: MainWindow, instrument: FakeInstrument, tmp_path: Path
) -> None:
    page.document.clear_lane("roughness")
    save_passage(Passage(3.5), tmp_path / "take.stridor")
    instrument.queue.append(Recorded(str(tmp_path / "take.flac"), str(tmp_path / "take.stridor"), 2.0))
    page.session.poll()
    assert page.document.passage.duration_s == 8.0
    assert page.performance.bar.take == tmp_path / "take.stridor"


def test_a_recording_that_could_not_begin_lets_go_of_the_button(page: MainWindow, instrument: FakeInstrument) -> None:
    page.performance.take_recorded(Recorded("take.flac", "", 0.0, 12, "The disk is full."))
    assert not page.actions_table["record"].isChecked()
    assert "12 frames of it were lost. The disk is full." in page.notice.text
    assert not page.performance.bar.open_take.isVisibleTo(page)


def test_keys_are_taken_as_chosen(page: MainWindow, instrument: FakeInstrument) -> None:
    bar = page.performance.bar
    page.performance.look()
    bar.playing.picked.emit("legato")
    bar.glide.picked.emit("time")
    bar.glide_ms.setValue(150.0)
    assert instrument.profile is not None
    assert (instrument.profile.playing, instrument.profile.glide, instrument.profile.glide_s) == (
        "legato",
        "time",
        0.15,
    )
    bar.lock.click()
    bar.lock.click()
    assert instrument.locked == [0, None]
    bar.midi.picked.emit("Controller")
    assert instrument.midi == "Controller"
    assert page.parts.store.settings.midi_input == "Controller"


def test_the_page_is_reachable_by_keyboard(page: MainWindow) -> None:
    page.performance.tabs.setCurrentWidget(page.performance.controls)
    page.performance.look()
    row = page.performance.controls.rows[0]
    for widget in (*row.widgets[1:10], page.performance.bar.record, page.performance.bar.panic):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert widget.accessibleName()


# ---- the machine


def test_processes_and_gpu_are_read() -> None:
    import os

    reader = ProcessReader()
    assert reader.read({"window": os.getpid(), "gone": 2**22 + 1})["window"].cores is None
    share = reader.read({"window": os.getpid()})["window"]
    assert share.cores is not None
    assert share.memory_mb > 1.0
    gpu = parsed_gpu("37, 2048, 143771\n")
    assert (gpu.load, gpu.used_mb, gpu.total_mb) == (0.37, 2048.0, 143_771.0)


def test_the_machine_is_checked_beside_the_window(window: MainWindow, qtbot: QtBot) -> None:
    said = '{"live": {"ok": true, "words": ["one voice takes 0.4"], "advice": ["Play with 4 jumps."]}}'
    check = MachineCheck([sys.executable, "-c", f"print('''{said}''')"])
    dialog = MachineDialog(window, check)
    dialog.open()
    qtbot.waitUntil(lambda: "Measured just now" in dialog.words.text(), timeout=20_000)
    assert check.answer is not None
    texts = [child.text() for child in dialog.findChildren(type(dialog.words))]
    assert "Play with 4 jumps." in texts
    assert "one voice takes 0.4" in texts
    dialog.reject()


def test_a_check_that_fails_says_why(window: MainWindow, qtbot: QtBot) -> None:
    dialog = MachineDialog(window, MachineCheck([sys.executable, "-c", "raise SystemExit('no model is there')"]))
    dialog.open()
    qtbot.waitUntil(lambda: "no model is there" in dialog.words.text(), timeout=20_000)
    dialog.reject()


def test_the_doctor_is_asked_for_sections_it_has() -> None:
    from app.commands.doctor import SECTION_NAMES

    asked = doctor_command()
    assert {asked[index + 1] for index, word in enumerate(asked) if word == "--section"} <= set(SECTION_NAMES)


def test_cards_that_have_much_to_say_are_never_cut_off(qtbot: QtBot) -> None:
    stage = StagePage(Theme())
    qtbot.addWidget(stage)
    stage.resize(1_150, 700)
    stage.show()
    stage.show_figures(None)
    body = stage.widget()
    assert body is not None
    assert stage.latency.y() == stage.voices.y(), "four in a row where there is room"
    stage.voices.setMinimumWidth(600)
    qtbot.waitUntil(lambda: body.minimumSizeHint().width() > 1_150)
    stage.show_figures(None)
    qtbot.waitUntil(lambda: stage.stages.y() > stage.latency.y())
    assert body.width() <= stage.viewport().width()
