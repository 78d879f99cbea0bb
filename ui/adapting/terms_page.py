"""The third page: which technique, whose voice, on what terms; and behind More, how it is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.services.adapting import DEFAULT_MINUTES, INJURING_TECHNIQUES, LICENCES, REGIONS, AdaptRequest
from synth.spec import TECHNIQUES
from ui.adapting.page import Page, scrolled, wrapped
from ui.styled import Chooser
from ui.theme import Theme

_METHOD_TITLES = {"lora": "LoRA", "sara": "SaRA"}
_METHOD_WORDS = {
    "lora": "Thin layers beside the base: learns most in little time. Right for nearly everybody.",
    "sara": "Trains the base's least important weights: learns less, and disturbs other techniques least.",
}
_REGION_WORDS = {
    "early": "early: noise and breath",
    "middle": "middle: irregularity",
    "late": "late: fine pitch",
}
_LICENCE_WORDS = (
    "CC-BY-4.0: anybody may use the voice and must name you. CC-BY-NC-4.0: not for money. CC0-1.0: without conditions."
)


class TermsPage(Page):
    """Everything that must be said before a voice is imitated."""

    heading = "The voice and its terms"
    step = "Voice and terms"
    next_title = "Train"

    def __init__(self, theme: Theme, methods: Sequence[tuple[str, str]]) -> None:
        super().__init__(theme)
        self.lead.setText("These words are kept in the preset and in its adapter, wherever they go.")
        self.technique = Chooser()
        self.technique.addItems(TECHNIQUES)
        self.name = QLineEdit()
        self.name.setPlaceholderText("What the preset is called")
        self.author = QLineEdit()
        self.author.setPlaceholderText("Whom to name: the singer, or you")
        self.licence = Chooser()
        self.licence.addItems(LICENCES)
        self.licence.setEditable(True)
        self.licence.setCurrentText("")
        line = self.licence.lineEdit()
        assert line is not None
        line.setPlaceholderText("How others may use it (an SPDX name)")
        self.consent = QPlainTextEdit()
        self.consent.setPlaceholderText("Whose voice is this, and what have they agreed to? Such as: my own voice; ...")
        self.consent.setTabChangesFocus(True)
        self.consent.setFixedHeight(58)
        self.agrees = QCheckBox("The singer knows that this voice will be &imitated, and agrees to these terms")
        self.method = Chooser()
        self._add_methods(methods)
        self.regions = {name: QCheckBox(_REGION_WORDS[name]) for name in REGIONS}
        self.minutes = QDoubleSpinBox()
        self._warning = wrapped("")
        self._warning.setStyleSheet(f"color: {theme.colours.warning}")
        self._method_words = wrapped("", "faint")
        self.more = QToolButton()
        self.details = self._more_area()
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 4, 10, 4)
        column.addLayout(self._form())
        column.addWidget(self.more)
        column.addWidget(self.details)
        column.addStretch(1)
        self.column.addWidget(scrolled(inner), 1)
        self._connect()
        self._show_technique(self.technique.currentText())

    @property
    def trouble(self) -> str:
        if not self.name.text().strip():
            return "Give the preset a name."
        if not self.licence.currentText().strip():
            return "Say on what terms others may use the voice."
        if not self.consent.toPlainText().strip():
            return "Say whose voice it is, and what they agreed to."
        if not self.agrees.isChecked():
            return "A voice is only imitated with the singer's consent."
        if not any(box.isChecked() for box in self.regions.values()):
            return "At least one region must learn."
        return ""

    def suggest(self, technique: str, name: str) -> None:
        """What the recordings sound like, and what they are called; what was typed stays."""
        if technique:
            self.technique.setCurrentText(technique)
        if not self.name.text().strip():
            self.name.setText(name)

    def request(self, paths: Sequence[Path]) -> AdaptRequest:
        """What is asked for."""
        return AdaptRequest(
            tuple(paths), self.technique.currentText(), name=self.name.text().strip(),
            author=self.author.text().strip(), licence=self.licence.currentText().strip(),
            consent=" ".join(self.consent.toPlainText().split()), method=self.method.currentData(),
            regions=tuple(name for name, box in self.regions.items() if box.isChecked()),
            minutes=self.minutes.value(),
        )  # fmt: skip

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setVerticalSpacing(9)
        form.setHorizontalSpacing(18)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows: tuple[tuple[str, QWidget], ...] = (
            ("&Technique", self.technique),
            ("Na&me", self.name),
            ("&Author", self.author),
            ("&Licence", self.licence),
            ("&Consent", self.consent),
        )
        for words, field in rows:
            title = QLabel(words)
            title.setBuddy(field)
            field.setAccessibleName(words.replace("&", ""))
            form.addRow(title, field)
            if field is self.technique:
                form.addRow("", self._warning)
            if field is self.licence:
                form.addRow("", wrapped(_LICENCE_WORDS, "faint"))
        form.addRow("", self.agrees)
        return form

    def _more_area(self) -> QWidget:
        area = QFrame()
        form = QFormLayout(area)
        form.setContentsMargins(0, 6, 0, 0)
        form.setVerticalSpacing(8)
        form.setHorizontalSpacing(18)
        self.minutes.setRange(0.5, 600.0)
        self.minutes.setDecimals(1)
        self.minutes.setSuffix(" min")
        self.minutes.setValue(DEFAULT_MINUTES)
        self.minutes.setFixedWidth(110)
        for box, words in ((self.method, "Method"), (self.minutes, "Minutes of training")):
            box.setAccessibleName(words)
        form.addRow("Method", self.method)
        form.addRow("", self._method_words)
        regions = QHBoxLayout()
        regions.setSpacing(20)
        for box in self.regions.values():
            box.setChecked(True)
            regions.addWidget(box)
        regions.addStretch(1)
        form.addRow("Regions that learn", regions)
        words = "Parts of the network. Each can be turned up and down by itself when you play."
        form.addRow("", wrapped(words, "faint"))
        form.addRow("Training", self.minutes)
        area.hide()
        return area

    def _add_methods(self, methods: Sequence[tuple[str, str]]) -> None:
        for name, missing in methods:
            self.method.addItem(_METHOD_TITLES[name] + (f" ({missing})" if missing else ""), name)
            entries = self.method.model()
            if missing and isinstance(entries, QStandardItemModel):
                entries.item(self.method.count() - 1).setEnabled(False)
        free = next((index for index, (_, missing) in enumerate(methods) if not missing), 0)
        self.method.setCurrentIndex(free)

    def _connect(self) -> None:
        self.more.setText("More ▸")
        self.more.setAccessibleName("More: method, regions, minutes")
        self.more.clicked.connect(lambda: self._show_more(not self.details.isVisible()))
        self.technique.currentTextChanged.connect(self._show_technique)
        self.method.currentIndexChanged.connect(lambda _i: self._show_method())
        for told in (self.name.textChanged, self.licence.currentTextChanged, self.agrees.toggled):
            told.connect(lambda _value: self.changed.emit())
        self.consent.textChanged.connect(self.changed)
        for box in self.regions.values():
            box.toggled.connect(lambda _on: self.changed.emit())
        self._show_method()

    def _show_more(self, is_on: bool) -> None:
        self.details.setVisible(is_on)
        self.more.setText("Less ▾" if is_on else "More ▸")

    def _show_technique(self, technique: str) -> None:
        injures = technique in INJURING_TECHNIQUES
        self._warning.setVisible(injures)
        self._warning.setText(f"A {technique} injures untrained voices: learn it with a teacher, stop when it hurts.")

    def _show_method(self) -> None:
        self._method_words.setText(_METHOD_WORDS[self.method.currentData()])
        self.changed.emit()
