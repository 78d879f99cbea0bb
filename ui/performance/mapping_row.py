"""One mapping as a row of fields: control, lane, range, how it moves it, what is in its way."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QToolButton, QWidget

from app.state.controller_profile import TAKEOVERS, Binding
from app.state.passage import lane_range
from app.state.places import PlacedError
from synth.spec import is_adapter_lane, lane
from ui.icons import icon
from ui.performance.cards import Bar
from ui.performance.figures import Figure
from ui.performance.mapping_fields import CalmChooser, CalmSpin
from ui.performance.mappings import CURVES, OWN_CURVE, all_sources, curve_key, source_title, target_title
from ui.performance.profile_desk import ProfileDesk
from ui.styled import label, styled
from ui.theme import Theme

MODES = (("set", "Sets"), ("offset", "Adds"))
TAKEOVER_WORDS = {"jump": "Jump", "pickup": "Pick up", "scale": "Scale"}
HEADINGS = ("", "Control", "", "Moves", "From", "To", "How", "Curve", "Takeover", "Smoothing", "", "")
_OFFSET_LIMIT = 200.0


class MappingRow(QObject):
    """The widgets of one row of a grid. Every field changes the profile at once, as one step."""

    def __init__(
        self, desk: ProfileDesk, theme: Theme, binding: Binding, targets: Callable[[], list[str]], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._desk, self._theme = desk, theme
        self.binding = binding
        self.activity = Bar(theme, width_px=34)
        self.activity.setToolTip("Where the control stands")
        self.source = CalmChooser("Control", lambda: [(name, source_title(name)) for name in all_sources()])
        self.learn = styled(QToolButton(), "group")
        self.learn.setText("Learn")
        self.learn.setCheckable(True)
        self.target = CalmChooser("Target", lambda: [(name, target_title(name)) for name in targets()])
        self.low, self.high = self._spin("From"), self._spin("To")
        self.mode = CalmChooser("How", lambda: list(MODES))
        self.curve = CalmChooser("Curve", lambda: [(key, title) for key, (title, _) in CURVES.items()])
        self.takeover = CalmChooser("Takeover", lambda: [(name, TAKEOVER_WORDS[name]) for name in TAKEOVERS])
        self.smoothing = CalmSpin("Smoothing", low=0.0, high=5000.0, decimals=0, step=5.0, suffix=" ms")
        for field, most_px in ((self.mode, 84), (self.curve, 112), (self.takeover, 96)):  # names need the room
            field.setMaximumWidth(most_px)
        self.trouble = QLabel()
        self.trouble.setFixedWidth(18)
        self.remove = styled(QToolButton(), "flat")
        self.remove.setToolTip("Remove this mapping")
        self._describe()
        self._connect()
        self._show_icons()
        theme.changed.connect(self._show_icons)

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        """In the order of HEADINGS."""
        return (
            self.activity, self.source, self.learn, self.target, self.low, self.high, self.mode, self.curve,
            self.takeover, self.smoothing, self.trouble, self.remove,
        )  # fmt: skip

    def show_binding(self, binding: Binding, conflict: str, learning: Binding | None) -> None:
        """Show it as it is; never writes."""
        self.binding = binding
        self.source.show_choice(binding.source, source_title(binding.source))
        self.target.show_choice(binding.lane, target_title(binding.lane))
        low, high = lane_range(binding.lane)
        for field, value in ((self.low, binding.low), (self.high, binding.high)):
            is_wide = high - low > 2.0
            field.setDecimals(1 if is_wide else 2)
            field.setSingleStep(1.0 if is_wide else 0.05)
            reach = (low, high) if binding.mode == "set" else (-_OFFSET_LIMIT, _OFFSET_LIMIT)
            field.blockSignals(True)
            field.setRange(*reach)
            field.setSuffix(_unit(binding.lane))
            field.blockSignals(False)
            field.show_value(value)
        self.mode.show_choice(binding.mode, dict(MODES)[binding.mode])
        key = curve_key(binding.curve)
        self.curve.show_choice(key, CURVES[key][0] if key != OWN_CURVE else "Its own")
        self.takeover.show_choice(binding.takeover, TAKEOVER_WORDS[binding.takeover])
        self.takeover.setEnabled(binding.is_shared and binding.mode == "set")
        self.smoothing.show_value(1000.0 * binding.smoothing_s)
        self.trouble.setText("!" if conflict else "")
        self.trouble.setToolTip(conflict)
        self.trouble.setAccessibleName(conflict)
        is_learning = learning == binding
        self.learn.setChecked(is_learning)
        self.learn.setText("Move it…" if is_learning else "Learn")
        self._describe()

    def show_activity(self, amount: float) -> None:
        """The control stands at `amount` 0..1."""
        self.activity.show_figure(Figure("", share=amount))

    def discard(self) -> None:
        """Take the row's widgets away."""
        for widget in self.widgets:
            widget.hide()
            widget.deleteLater()
        self.deleteLater()

    def _describe(self) -> None:
        """Names for screen readers, and what is said on hovering."""
        words = f"{source_title(self.binding.source)} to {target_title(self.binding.lane)}"
        self.learn.setAccessibleName(f"Learn a control for {target_title(self.binding.lane)}")
        self.learn.setToolTip(f"Bind the next control that moves to {target_title(self.binding.lane)}")
        self.remove.setAccessibleName(f"Remove {words}")
        self.low.setToolTip("The lane's value, or what is added, at the control's low end. Above “To”: turned round")
        self.high.setToolTip("The lane's value, or what is added, at the control's high end")
        self.mode.setToolTip("Sets: the lane is what the control says. Adds: on top of what the lane would be")
        self.takeover.setToolTip("Jump: at once. Pick up: once it passes the lane's value. Scale: in proportion")
        self.smoothing.setToolTip("Time constant of the approach to a new value")

    def _connect(self) -> None:
        desk = self._desk
        self.source.picked.connect(lambda name: desk.replace_binding(self.binding, **_for_source(self.binding, name)))
        self.target.picked.connect(self._retarget)
        self.low.entered.connect(lambda value: desk.replace_binding(self.binding, low=value))
        self.high.entered.connect(lambda value: desk.replace_binding(self.binding, high=value))
        self.mode.picked.connect(lambda mode: desk.replace_binding(self.binding, **_for_mode(self.binding, mode)))
        self.curve.picked.connect(self._choose_curve)
        self.takeover.picked.connect(lambda name: desk.replace_binding(self.binding, takeover=name))
        self.smoothing.entered.connect(lambda ms: desk.replace_binding(self.binding, smoothing_s=ms / 1000.0))
        self.remove.clicked.connect(lambda: desk.remove(self.binding))
        self.learn.clicked.connect(self._learn)

    def _learn(self, is_on: bool) -> None:
        if is_on:
            self._desk.learn(self.binding.lane, instead_of=self.binding)
        else:
            self._desk.cancel_learning()

    def _choose_curve(self, key: str) -> None:
        if key in CURVES:
            self._desk.replace_binding(self.binding, curve=CURVES[key][1])

    def _retarget(self, lane_id: str) -> None:
        """Another lane has another range: it is taken whole."""
        low, high = lane_range(lane_id)
        mode = "offset" if lane_id == "bend" else self.binding.mode
        span = (low, high) if mode == "set" else (0.0, high - low)
        if self.binding.low > self.binding.high:
            span = (span[1], span[0])
        takeover = self.binding.takeover if mode == "set" else "jump"
        self._desk.replace_binding(self.binding, lane=lane_id, low=span[0], high=span[1], mode=mode, takeover=takeover)

    def _spin(self, name: str) -> CalmSpin:
        return CalmSpin(name, low=-_OFFSET_LIMIT, high=_OFFSET_LIMIT, decimals=2, step=0.05)

    def _show_icons(self) -> None:
        self.remove.setIcon(icon("close", self._theme.colours.text_dim))
        self.trouble.setStyleSheet(f"color: {self._theme.colours.warning}; font-weight: 700; font-size: 14px;")


def add_headings(grid: QGridLayout) -> None:
    """The names of the columns."""
    for column, words in enumerate(HEADINGS):
        heading = label(words, "dim")
        heading.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        grid.addWidget(heading, 0, column, Qt.AlignmentFlag.AlignLeft)


def _unit(lane_id: str) -> str:
    if is_adapter_lane(lane_id):
        return ""
    return {"dB": " dB", "semitones": " st"}.get(lane(lane_id).unit, "")


def _for_source(binding: Binding, source: str) -> dict[str, object]:
    """Only knobs that set a lane can wait for it."""
    waits = source.startswith(("cc", "nrpn")) and binding.mode == "set"
    return {"source": source, "takeover": binding.takeover if waits else "jump"}


def _for_mode(binding: Binding, mode: str) -> dict[str, object]:
    """The same span, from 0 where it is added; the lane's whole range where it is set."""
    if mode == binding.mode:
        return {}
    if mode == "offset":
        base = min(binding.low, binding.high)
        return {"mode": mode, "low": binding.low - base, "high": binding.high - base, "takeover": "jump"}
    try:
        low, high = lane_range(binding.lane)
    except PlacedError:
        return {}
    return {"mode": mode, "low": low, "high": high}
