"""The preset browser: finding, favourites, comparing and morphing, editing with undo, packs dropped on the window."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QInputDialog, QMessageBox, QTableWidget
from pytestqt.qtbot import QtBot

from app.state.preset import Preset
from app.store.installed_packs import packs_folder, read_installed
from app.store.packs.install import Question
from app.store.packs.keys import read_pins
from app.store.packs.signing import public_key_of
from app.store.preset_index import Query
from app.store.preset_library import library_path, load_library
from app.store.presets import load_preset, save_preset, user_preset_folder
from tests.app.store.packs import forge
from tests.ui.fake_instrument import FakeInstrument
from ui.presets import audition
from ui.presets.comparing import CompareBar
from ui.presets.dialogs import EditDialog, InstallDialog
from ui.presets.listing import ROW_ROLE, PresetList
from ui.presets.packs_dialog import PacksDialog
from ui.presets.shelf import PresetShelf
from ui.theme import Theme, ThemeChoice
from ui.window import MainWindow


def click(panel_list: PresetList, preset_id: str, *, x_from_right: int | None = None) -> None:
    box = panel_list.visualRect(panel_list.presets.place_of(preset_id))
    place = box.center() if x_from_right is None else QPoint(box.right() - x_from_right, box.top() + 13)
    QTest.mouseClick(panel_list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def drop(window: MainWindow, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    actions, buttons = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(300, 300), actions, data, buttons, Qt.KeyboardModifier.NoModifier))


def test_techniques_and_words_narrow_the_list(window: MainWindow) -> None:
    panel = window.preset_panel
    assert panel.visible_names() == ["Growl", "Whisper"]
    panel.pills.pill("whisper").click()
    assert panel.visible_names() == ["Whisper"]
    panel.pills.pill("whisper").click()
    assert panel.visible_names() == ["Growl", "Whisper"]
    assert not panel.pills.pill("scream").isVisible(), "no preset screams"
    panel.search.setText("tag:low")
    assert panel.visible_names() == ["Growl"]
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    assert window.document.voice.preset == "growl"


def test_choosing_sounds_at_once_and_the_note_ends(
    window: MainWindow, instrument: FakeInstrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = window.preset_panel
    click(panel.list, "whisper")
    assert instrument.notes == [("on", 57.0)]
    assert instrument.live_preset is not None
    assert instrument.live_preset.id == "whisper"
    click(panel.list, "growl")
    assert instrument.notes == [("on", 57.0), ("off", 57.0), ("on", 57.0)]
    window.audition.stop()
    assert instrument.notes[-1] == ("off", 57.0)
    panel.preview.setChecked(False)
    click(panel.list, "whisper")
    assert len(instrument.notes) == 4
    assert audition.NOTE_MS < 2000


def test_what_has_been_made_ahead_is_heard_instead_of_a_note(window: MainWindow, instrument: FakeInstrument) -> None:
    panel = window.preset_panel
    instrument.previews = {"whisper"}
    click(panel.list, "whisper")
    assert instrument.previewed == ["whisper"]
    assert instrument.notes == []
    assert instrument.live_preset is not None
    assert instrument.live_preset.id == "whisper", "the keyboard sings with it, too"
    click(panel.list, "growl")
    assert instrument.previewed == ["whisper", ""], "it makes way for a note"
    assert instrument.notes == [("on", 57.0)]
    click(panel.list, "whisper")
    window.audition.stop()
    assert instrument.previewed == ["whisper", "", "whisper", ""]


def test_what_is_in_view_is_prepared_for(window: MainWindow, instrument: FakeInstrument, qtbot: QtBot) -> None:
    panel = window.preset_panel
    qtbot.waitUntil(lambda: [wish.preset.id for wish in instrument.wished] == ["growl", "whisper"])
    panel.search.setText("whi")
    qtbot.waitUntil(lambda: [wish.preset.id for wish in instrument.wished] == ["whisper"])


def test_keys_go_through_the_list_and_let_it_be_heard_without_changing_the_voice(
    window: MainWindow, instrument: FakeInstrument
) -> None:
    panel = window.preset_panel
    instrument.previews = {"growl", "whisper"}
    QTest.keyClick(panel.search, Qt.Key.Key_Down)
    assert instrument.previewed == ["growl"]
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    assert instrument.previewed == ["growl", "whisper"]
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    assert instrument.previewed == ["growl", "whisper"], "there is no further one"
    assert window.document.voice.preset == "growl"
    QTest.keyClick(panel.list, Qt.Key.Key_Return)
    assert window.document.voice.preset == "whisper"


def test_the_list_stays_where_it_is_unless_something_else_is_looked_for(window: MainWindow, qapp: QApplication) -> None:
    panel = window.preset_panel
    for number in range(40):
        save_preset(forge.preset(f"p{number:02d}", name=f"Preset {number:02d}"))
    window.parts.presets.refresh()
    scroll = panel.list.verticalScrollBar()
    qapp.processEvents()
    assert window.document.voice.preset == "growl"
    scroll.setValue(400)
    window.parts.presets.set_favourite("p20", True)
    qapp.processEvents()
    assert scroll.value() == 400, "a star moves nothing"
    panel.search.setText("preset")
    qapp.processEvents()
    assert scroll.value() == 0, "what fits best is seen"
    panel.search.setText("")
    panel.show_chosen("p39")
    qapp.processEvents()
    assert panel.list.visualRect(panel.list.currentIndex()).bottom() <= panel.list.viewport().height()
    assert scroll.value() > 0


def test_tags_are_categories(window: MainWindow) -> None:
    panel = window.preset_panel
    panel.category.setCurrentText("Tag: breath")
    assert panel.visible_names() == ["Whisper"]


def test_favourites_recent_ones_and_chance(window: MainWindow) -> None:
    panel = window.preset_panel
    click(panel.list, "whisper", x_from_right=10)
    assert window.document.voice.preset == "growl", "a star is no choice"
    panel.category.setCurrentText("Favourites")
    assert panel.visible_names() == ["Whisper"]
    panel.category.setCurrentText("All presets")
    click(panel.list, "whisper")
    click(panel.list, "growl")
    panel.category.setCurrentText("Recent")
    assert panel.visible_names() == ["Growl", "Whisper"]
    panel.choose_any()
    assert window.document.voice.preset == "whisper"


def test_comparing_and_morphing_are_heard_and_kept(
    window: MainWindow, instrument: FakeInstrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = window.preset_panel
    click(panel.list, "growl")
    panel.compare.buttons[0].click()
    click(panel.list, "whisper")
    assert not panel.compare.slider.isEnabled()
    panel.compare.buttons[1].click()
    panel.compare.swap()
    assert instrument.live_preset is not None
    assert instrument.live_preset.id == "growl"
    panel.compare.slider.setValue(25)
    assert instrument.live_preset.technique == pytest.approx({"growl": 0.75, "whisper": 0.25})
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **words: (words["text"], True))
    panel.compare.keep.click()
    assert window.document.voice.preset == "growl_to_whisper_25"
    assert load_preset("growl_to_whisper_25").technique == pytest.approx({"growl": 0.75, "whisper": 0.25})
    assert "Growl to Whisper 25 %" in panel.visible_names()


def test_editing_is_the_users_own_and_can_be_undone(
    window: MainWindow, instrument: FakeInstrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = window.preset_panel
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("Deep growl", True))
    click(panel.list, "growl")
    panel.save_as()
    assert window.document.voice.preset == "deep_growl"
    rendered = len(instrument.rendered)

    def fill_in(dialog: EditDialog) -> int:
        dialog.name.setText("Deeper growl")
        dialog.tags.setText("low, wide")
        dialog.level.setValue(-3.0)
        dialog.program.setValue(7)
        return 1

    monkeypatch.setattr(EditDialog, "exec", fill_in)
    panel.edit()
    kept = load_preset("deep_growl")
    assert (kept.name, kept.tags, kept.level_db, kept.edition) == ("Deeper growl", ("low", "wide"), -3.0, 2)
    assert instrument.live_preset == kept, "the keyboard follows"
    assert len(instrument.rendered) > rendered, "and what is open is rendered anew"
    assert "Deeper growl" in panel.visible_names()
    window.parts.presets.undo()
    assert load_preset("deep_growl").name == "Deep growl"
    window.parts.presets.undo()
    assert not (user_preset_folder() / "deep_growl.json").exists()
    window.parts.presets.redo()
    assert load_preset("deep_growl").name == "Deep growl"


def test_program_numbers_are_kept(window: MainWindow) -> None:
    shelf = PresetShelf()
    shelf.set_program("growl", 7)
    shelf.set_program("growl", 9)
    assert load_library().preset_for(9) == "growl"
    assert load_library().preset_for(7) is None


def test_a_pack_is_shown_before_anything_is_written(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orcs.stridorpack"
    path.write_bytes(forge.good_pack(name="<b>Orcs</b>"))
    seen: list[str] = []

    def look(dialog: InstallDialog) -> int:
        assert not packs_folder().exists()
        assert dialog.install_button.isEnabled()
        seen.extend(child.text() for child in dialog.findChildren(type(window.preset_panel._about)))
        return 0

    monkeypatch.setattr(InstallDialog, "exec", look)
    drop(window, path)
    assert not packs_folder().exists()
    text = "\n".join(seen)
    assert "<b>Orcs</b> 1.0" in text, "as it was written"
    for words in ("by Ann Singer", "CC0-1.0", "everybody may sing with it", "not seen before"):
        assert words in text
    monkeypatch.setattr(InstallDialog, "exec", lambda _: 1)
    drop(window, path)
    assert [pack.id for pack in read_installed().packs] == ["orcs"]
    assert window.notice.text.startswith("Installed <b>Orcs</b>")


def test_questions_must_be_answered(window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_preset(forge.preset("orc_growl"))
    path = tmp_path / "orcs.stridorpack"
    path.write_bytes(forge.good_pack())
    asked: list[Question] = []

    def agree(dialog: InstallDialog) -> int:
        assert not dialog.install_button.isEnabled()
        for question, box in dialog.boxes.items():
            asked.append(question)
            box.setChecked(True)
        assert dialog.install_button.isEnabled()
        return 1

    monkeypatch.setattr(InstallDialog, "exec", agree)
    drop(window, path)
    assert asked == [Question.RENAME]
    assert read_installed().packs[0].presets == ("orc_growl-orcs", "orc_sigh")
    window.parts.presets.undo_pack()
    assert read_installed().packs == ()


def test_packs_and_keys_are_shown_removed_and_forgotten(window: MainWindow, tmp_path: Path) -> None:
    shelf = window.parts.presets
    path = tmp_path / "orcs.stridorpack"
    path.write_bytes(forge.good_pack())
    shelf.install(path, shelf.plan(path), frozenset())
    dialog = PacksDialog(shelf, window)
    fingerprint = public_key_of(forge.KEY).fingerprint

    def words(table: QTableWidget) -> list[str]:
        cells = (table.item(0, column) for column in range(table.columnCount()))
        return [cell.text() for cell in cells if cell is not None]

    assert words(dialog.packs) == ["Orcs", "1.0", "Ann Singer", "CC0-1.0", "2", fingerprint]
    assert words(dialog.pins) == ["Ann Singer", fingerprint]
    assert not dialog.remove.isEnabled()
    dialog.packs.selectRow(0)
    dialog.remove.click()
    assert read_installed().packs == ()
    assert dialog.packs.rowCount() == 0
    assert dialog.undo.text() == "Undo Remove Orcs"
    dialog.undo.click()
    assert [pack.id for pack in read_installed().packs] == ["orcs"]
    dialog.pins.selectRow(0)
    dialog.forget.click()
    assert read_pins().pins == ()
    menu = window.preset_panel.desk.menu(None)
    assert "Undo Install Orcs" in [action.text() for action in menu.actions()]
    dialog.deleteLater()


def test_a_hostile_pack_is_one_line(window: MainWindow, tmp_path: Path) -> None:
    path = tmp_path / "evil.stridorpack"
    path.write_bytes(forge.good_pack()[:-1])
    drop(window, path)
    assert "cut short" in window.notice.text


def test_a_preset_file_is_asked_about_and_never_replaces_another(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_preset(forge.preset("growl", name="Another growl"), tmp_path)
    monkeypatch.setattr(QMessageBox, "exec", lambda _: QMessageBox.StandardButton.Cancel)
    drop(window, tmp_path / "growl.json")
    assert not user_preset_folder().exists()
    monkeypatch.setattr(QMessageBox, "exec", lambda _: QMessageBox.StandardButton.Yes)
    drop(window, tmp_path / "growl.json")
    assert load_preset("another_growl").name == "Another growl"
    assert "Another growl" in window.preset_panel.visible_names()


def test_presets_are_dragged_out_as_their_files(qapp: QApplication) -> None:
    save_preset(forge.preset("mine", name="Mine"))
    shelf = PresetShelf()
    panel_list = PresetList(Theme(ThemeChoice.DARK), shelf)
    panel_list.presets.show_found(shelf.index.search(Query()))
    place = panel_list.presets.place_of("mine")
    assert place.data(ROW_ROLE).name == "Mine"
    urls = panel_list.presets.mimeData([place]).urls()
    assert [url.toLocalFile() for url in urls] == [str(user_preset_folder() / "mine.json")]
    panel_list.deleteLater()


def test_a_broken_library_is_kept_as_it_is(qapp: QApplication) -> None:
    library_path().parent.mkdir(parents=True, exist_ok=True)
    library_path().write_text("{")
    shelf = PresetShelf([Preset("a", "A")])
    assert shelf.trouble is not None
    shelf.set_favourite("a", True)
    assert library_path().read_text() == "{"


def test_what_strangers_wrote_is_never_markup(qapp: QApplication) -> None:
    shelf = PresetShelf([Preset("a", "A & B", description="<img src='file:///x'><b>bold</b>")])
    panel_list = PresetList(Theme(ThemeChoice.DARK), shelf)
    panel_list.presets.show_found([0])
    tip = panel_list.presets.place_of("a").data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "<p>&lt;img src=&#x27;file:///x&#x27;&gt;&lt;b&gt;bold&lt;/b&gt;</p>"
    bar = CompareBar()
    bar.fill(0, shelf.preset_of("a"))
    assert bar.buttons[0].text() == "A  A && B"
    bar.deleteLater()
    panel_list.deleteLater()


def test_what_was_drawn_is_kept_as_a_preset(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("Found growl", True))
    window.context.playhead.show_position(4.0)
    window.preset_panel.capture_asked.emit()
    kept = load_preset("found_growl")
    assert kept.lane_defaults["roughness"] == pytest.approx(0.5, abs=0.01), "half-way from 0.2 to 0.8"
    assert kept.technique == {"growl": 1.0}
    assert window.document.voice.preset == "found_growl"
