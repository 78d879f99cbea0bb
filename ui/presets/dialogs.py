"""What is asked before a pack is installed or a preset changed."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.state.preset import LEVEL_DB_RANGE, Preset
from app.store.packs.install import Plan, Question
from app.store.packs.keys import QUESTIONABLE, Trust
from app.store.packs.summary import question_lines, summary_lines, trust_line
from ui.styled import label
from ui.theme import Theme

_WIDTH_PX = 520
_QUESTIONS = {
    Question.REPLACE: "Replace the installed version",
    Question.RENAME: "Install those presets under other ids",
    Question.KEY: "Install it although nobody vouches for its author as before",
}


class InstallDialog(QDialog):
    """Shows a pack whole; nothing has been written when it opens. `agreed` after it was accepted."""

    def __init__(self, plan: Plan, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Install Pack")
        self.setMinimumWidth(_WIDTH_PX)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        manifest = plan.pack.manifest
        column.addWidget(_plain(f"{manifest.name} {manifest.version}", "title"))
        column.addWidget(_plain(f"by {manifest.author}", "dim"))
        trust = _plain(trust_line(plan.pack, plan.trust))
        colours = theme.colours
        shade = {Trust.KNOWN: colours.good}.get(plan.trust, colours.warning)
        trust.setStyleSheet(f"color: {colours.danger if plan.trust in QUESTIONABLE else shade}")
        asked = question_lines(plan)
        inner = QWidget()
        lines = QVBoxLayout(inner)
        lines.setContentsMargins(0, 0, 8, 0)
        told = {f"{manifest.name} {manifest.version}, by {manifest.author}", trust_line(plan.pack, plan.trust), *asked}
        for text in summary_lines(plan):
            if text not in told:
                lines.addWidget(_plain(text))
        lines.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inner)
        scroll.setMinimumHeight(180)
        scroll.setStyleSheet("QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }")
        column.addWidget(trust)
        column.addWidget(scroll, 1)
        for text in asked:
            column.addWidget(_plain(text))
        self.boxes: dict[Question, QCheckBox] = {}
        for question in sorted(plan.questions):
            box = QCheckBox(_QUESTIONS[question])
            box.toggled.connect(self._show_whether_ready)
            self.boxes[question] = box
            column.addWidget(box)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.install_button = QPushButton("Install")
        self.install_button.setDefault(not plan.questions)
        buttons.addButton(self.install_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column.addWidget(_plain("Nothing has been written yet. An installation can be undone.", "faint"))
        column.addWidget(buttons)
        self._show_whether_ready()

    @property
    def agreed(self) -> frozenset[Question]:
        """The questions that were answered with yes."""
        return frozenset(question for question, box in self.boxes.items() if box.isChecked())

    def _show_whether_ready(self) -> None:
        self.install_button.setEnabled(len(self.agreed) == len(self.boxes))


class EditDialog(QDialog):
    """A preset's texts, level and program number. `edited()` and `number()` after it was accepted."""

    def __init__(self, preset: Preset, number: int | None, parent: QWidget, *, title: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(_WIDTH_PX)
        self._preset = preset
        self.name = QLineEdit(preset.name)
        self.author = QLineEdit(preset.author)
        self.licence = QLineEdit(preset.licence)
        self.consent = QLineEdit(preset.consent)
        self.consent.setPlaceholderText("Whose voice this is and what they agreed to")
        self.tags = QLineEdit(", ".join(preset.tags))
        self.description = QLineEdit(preset.description)
        for field in (self.name, self.author, self.licence, self.consent, self.tags, self.description):
            field.setCursorPosition(0)
        self.notes = QPlainTextEdit(preset.notes)
        self.notes.setFixedHeight(84)
        self.level = QDoubleSpinBox()
        self.level.setRange(*LEVEL_DB_RANGE)
        self.level.setDecimals(1)
        self.level.setSuffix(" dB")
        self.level.setValue(preset.level_db)
        self.program = QSpinBox()
        self.program.setRange(-1, 127)
        self.program.setSpecialValueText("none")
        self.program.setValue(-1 if number is None or number > 127 else number)
        form = QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        for words, field in (
            ("Name", self.name),
            ("Author", self.author),
            ("Licence", self.licence),
            ("Consent", self.consent),
            ("Tags", self.tags),
            ("Description", self.description),
            ("Notes", self.notes),
            ("Level", self.level),
            ("Program number", self.program),
        ):
            form.addRow(words, field)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        save = buttons.button(QDialogButtonBox.StandardButton.Save)
        self.name.textChanged.connect(lambda text: save.setEnabled(bool(text.strip())))
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(buttons)

    def edited(self) -> Preset:
        """The preset as the form has it."""
        return replace(
            self._preset,
            name=self.name.text().strip(),
            author=self.author.text().strip(),
            licence=self.licence.text().strip(),
            consent=self.consent.text().strip(),
            tags=tuple(tag.strip() for tag in self.tags.text().split(",") if tag.strip()),
            description=self.description.text().strip(),
            notes=self.notes.toPlainText(),
            level_db=self.level.value(),
        )

    def number(self) -> int | None:
        """The program number."""
        return None if self.program.value() < 0 else self.program.value()


def _plain(text: str, name: str = "") -> QLabel:
    """A stranger's text: wrapped, selectable, never taken for markup."""
    found = label(text, name)
    found.setTextFormat(Qt.TextFormat.PlainText)
    found.setWordWrap(True)
    found.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return found
