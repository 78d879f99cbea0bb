"""Mappings on the performance page: learnt, edited, taken back, kept in profiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app.services import ControlLearnt, MidiActivity
from app.state.controller_profile import Binding, default_profile
from app.store.controller_profiles import list_profiles, save_profile
from tests.ui.fake_instrument import FakeInstrument
from ui.performance.mappings import all_targets, conflicts_of, fresh_binding, source_title, target_title
from ui.performance.profile_desk import ProfileDesk
from ui.window import MainWindow


@pytest.fixture
def page(window: MainWindow, instrument: FakeInstrument) -> MainWindow:
    """The window with the page in front, its clock stopped: a test turns it."""
    window.actions_table["performance"].trigger()
    window.performance._timer.stop()
    return window


@pytest.fixture
def desk(qapp: QApplication, instrument: FakeInstrument, tmp_path: Path) -> ProfileDesk:
    made = ProfileDesk(instrument, tmp_path)
    made.look()
    return made


def test_a_learnt_control_is_a_step_that_can_be_taken_back(desk: ProfileDesk, instrument: FakeInstrument) -> None:
    before = instrument.profile
    assert before is not None
    desk.learn("fry")
    assert instrument.learning == "fry"
    instrument.profile = before.with_binding(Binding("cc16", "fry", 0.0, 1.0, takeover="pickup"))
    desk.take_learnt(ControlLearnt("cc16", "fry"))
    assert desk.learning is None
    assert desk.undo_name == "Learn CC 16 for Fry"
    desk.undo()
    assert instrument.profile == before
    desk.redo()
    assert instrument.profile != before


def test_learning_anew_keeps_range_and_curve(desk: ProfileDesk, instrument: FakeInstrument) -> None:
    profile = instrument.profile
    assert profile is not None
    old = next(b for b in profile.bindings if b.source == "cc1")
    desk.replace_binding(old, low=0.2, high=0.6)
    old = replace(old, low=0.2, high=0.6)
    desk.learn("roughness", instead_of=old)
    instrument.profile = instrument.profile.with_binding(Binding("cc20", "roughness", 0.0, 1.0))  # pyright: ignore
    desk.take_learnt(ControlLearnt("cc20", "roughness"))
    assert instrument.profile is not None
    bound = {b.source: (b.low, b.high) for b in instrument.profile.bindings if b.lane == "roughness"}
    assert bound["cc20"] == (0.2, 0.6)
    assert "cc1" not in bound


def test_news_of_a_control_may_come_before_its_profile(desk: ProfileDesk, instrument: FakeInstrument) -> None:
    before = instrument.profile
    assert before is not None
    desk.learn("fry")
    desk.take_learnt(ControlLearnt("cc16", "fry"))
    assert desk.undo_name is None
    instrument.profile = before.with_binding(Binding("cc16", "fry", 0.0, 1.0))
    desk.look()
    desk.undo()
    assert instrument.profile == before


def test_what_cannot_be_is_told_and_changes_nothing(desk: ProfileDesk, instrument: FakeInstrument) -> None:
    told: list[str] = []
    desk.told.connect(lambda message, _remedy: told.append(message))
    profile = instrument.profile
    assert profile is not None
    assert not desk.replace_binding(profile.bindings[0], source="cc121")
    assert instrument.profile == profile
    assert "cc121 has a meaning of its own" in told[0]


def test_profiles_are_copied_used_renamed_deleted_and_reset(desk: ProfileDesk, tmp_path: Path) -> None:
    save_profile(replace(default_profile("Stage keys"), bend_semitones=7.0), tmp_path)
    assert desk.keep_as("Before the show")
    assert not desk.keep_as("Stage keys")
    assert desk.names() == ["Before the show", "Stage keys"]
    desk.use("Stage keys")
    assert desk.profile is not None
    assert (desk.profile.name, desk.profile.bend_semitones) == ("Controller", 7.0)
    assert desk.rename("Before the show", "Rehearsal")
    assert [profile.name for profile in list_profiles(tmp_path)] == ["Rehearsal", "Stage keys"]
    assert desk.delete("Rehearsal")
    desk.reset()
    assert desk.profile == default_profile("Controller")
    desk.undo()
    assert desk.profile is not None
    assert desk.profile.bend_semitones == 7.0


def test_conflicts_are_named() -> None:
    profile = default_profile("any").with_binding(Binding("cc20", "roughness", 0.0, 1.0))
    conflicts = {profile.bindings[index].source: words for index, words in conflicts_of(profile).items()}
    assert "CC 20 sets Roughness too" in conflicts["cc1"]
    assert "cc20" in conflicts
    assert "cc7" not in conflicts  # volume and expression add up
    both = default_profile("any").with_binding(Binding("cc1", "fry", 0.0, 1.0))
    assert any("as well" in words for words in conflicts_of(both).values())


def test_names_and_ranges_of_mappings() -> None:
    assert source_title("cc74") == "CC 74 slide"
    assert target_title("adapter.rasp.middle") == "Adapter rasp, middle"
    assert "technique.growl" in all_targets(None)
    assert fresh_binding("cc3", "bend").mode == "offset"
    like = Binding("cc1", "fry", 0.9, 0.1, takeover="pickup")
    assert fresh_binding("mpe_pressure", "fry", like).takeover == "jump"
    assert fresh_binding("mpe_pressure", "fry", like).low == 0.9


def test_the_table_edits_the_profile(page: MainWindow, instrument: FakeInstrument) -> None:
    controls = page.performance.controls
    page.performance.tabs.setCurrentWidget(controls)
    page.performance.look()
    row = next(row for row in controls.rows if row.binding.source == "cc2")
    row.high.setValue(0.5)
    row.curve.picked.emit("late")
    row.smoothing.setValue(80.0)
    row.takeover.picked.emit("pickup")
    assert instrument.profile is not None
    edited = next(b for b in instrument.profile.bindings if b.source == "cc2")
    assert (edited.high, edited.curve.kind, edited.takeover) == (0.5, "exponential", "pickup")
    assert edited.smoothing_s == pytest.approx(0.08)
    row.mode.picked.emit("offset")
    edited = next(b for b in instrument.profile.bindings if b.source == "cc2")
    assert (edited.mode, edited.low, edited.high, edited.takeover) == ("offset", 0.0, 0.5, "jump")
    for _ in range(5):
        page.actions_table["undo"].trigger()
    assert instrument.profile == default_profile("Controller")
    n_rows = len(controls.rows)
    row = controls.rows[0]
    row.remove.click()
    assert len(controls.rows) == n_rows - 1
    controls.take_activity(MidiActivity("control", 1, 127.0))


def test_a_lanes_menu_learns_a_control_for_it(window: MainWindow, instrument: FakeInstrument) -> None:
    row = window.timeline.stack.row("roughness")
    assert row is not None
    action = next(action for action in row._menu_button.menu().actions() if action.text() == "Learn a Control")
    action.trigger()
    assert instrument.learning == "roughness"
    assert window.performance.desk.learning == "roughness"
    instrument.queue.append(ControlLearnt("cc20", "roughness"))
    window.session.poll()
    assert "CC 20 moves Roughness" in window.notice.text
