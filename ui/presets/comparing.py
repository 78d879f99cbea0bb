"""Two presets held against each other: hear one, hear the other, or anything between them."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QSlider, QToolButton, QVBoxLayout, QWidget

from app.state.morph import morph
from app.state.preset import Preset
from ui.styled import label, styled

_STEPS = 100


class CompareBar(QWidget):
    """A and B with a slider between them. Its panel fills the slots and connects `heard` and `kept`.

    heard(Preset)    shall sound now;  moved(Preset): the keyboard shall sing with it
    kept(Preset)     the user wants to keep it
    filled(slot)     the user asks for the marked preset in slot 0 or 1
    """

    heard = Signal(object)
    moved = Signal(object)
    kept = Signal(object)
    filled = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._presets: list[Preset | None] = [None, None]
        self.buttons = [self._slot(0), self._slot(1)]
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setAccessibleName("Morph between A and B")
        self.slider.setToolTip("Between A and B: play on the keyboard while you move it")
        self.slider.valueChanged.connect(self._on_slider)
        self.slider.sliderReleased.connect(lambda: self.heard.emit(self.between()))
        self.keep = styled(QToolButton(), "group")
        self.keep.setText("Keep")
        self.keep.setToolTip("Save what is between A and B as a preset of your own")
        self.keep.clicked.connect(lambda: self.kept.emit(self.between()))
        self._words = label("", "faint")
        top = QHBoxLayout()
        top.setSpacing(4)
        for button in self.buttons:
            top.addWidget(button, 1)
        bottom = QHBoxLayout()
        bottom.setSpacing(8)
        bottom.addWidget(self.slider, 1)
        bottom.addWidget(self._words)
        bottom.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addLayout(bottom)
        self._show()

    def fill(self, slot: int, preset: Preset) -> None:
        """Put a preset into slot 0 (A) or 1 (B), and go there."""
        self._presets[slot] = preset
        with QSignalBlocker(self.slider):
            self.slider.setValue(slot * _STEPS)
        self._show()

    def between(self) -> Preset | None:
        """What the slider stands for; None until both slots are filled."""
        one, other = self._presets
        if one is None or other is None:
            return None
        amount = self.slider.value() / _STEPS
        return one if amount == 0.0 else other if amount == 1.0 else morph(one, other, amount)

    def swap(self) -> None:
        """Hear the other one."""
        self._hear(0 if self.slider.value() > _STEPS // 2 else 1)

    def _slot(self, slot: int) -> QToolButton:
        button = styled(QToolButton(), "group")
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self._on_button(slot))
        button.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        button.customContextMenuRequested.connect(lambda at, of=slot: self._menu(of, at))
        return button

    def _menu(self, slot: int, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Put the Marked Preset Here", lambda: self.filled.emit(slot))
        menu.exec(self.buttons[slot].mapToGlobal(at))

    def _on_button(self, slot: int) -> None:
        if self._presets[slot] is None:
            self.filled.emit(slot)
        else:
            self._hear(slot)

    def _hear(self, slot: int) -> None:
        preset = self._presets[slot]
        if preset is not None:
            with QSignalBlocker(self.slider):
                self.slider.setValue(slot * _STEPS)
            self._show()
            self.heard.emit(preset)

    def _on_slider(self) -> None:
        self._show()
        between = self.between()
        if between is not None:
            self.moved.emit(between)

    def _show(self) -> None:
        is_whole = all(preset is not None for preset in self._presets)
        value = self.slider.value()
        for slot, (button, preset) in enumerate(zip(self.buttons, self._presets, strict=True)):
            name = "AB"[slot]
            words = preset.name.replace("&", "&&") if preset is not None else "–"
            button.setText(f"{name}  {words}")
            tip = "Hear it. Right-click: put the marked preset here" if preset else "Put the marked preset here"
            button.setToolTip(tip)
            button.setCheckable(is_whole)
            button.setChecked(is_whole and value == slot * _STEPS)
        self.slider.setEnabled(is_whole)
        self.keep.setEnabled(is_whole and 0 < value < _STEPS)
        self._words.setText(f"{value} %" if is_whole else "")
