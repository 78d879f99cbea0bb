"""How the controller's keys are taken: bend range, MPE zones, velocity, number of voices, the control for panic."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QGridLayout, QWidget

from app.state.controller_profile import MAX_POLYPHONY, RESERVED_CONTROLS, STEALING
from app.state.response import ResponseCurve
from ui.performance.cards import Card
from ui.performance.mapping_fields import CalmChooser, CalmSpin
from ui.performance.mappings import CURVES, OWN_CURVE, curve_key
from ui.performance.profile_desk import ProfileDesk
from ui.styled import label

_NONE = "none"
_STEALING_WORDS = {"oldest": "The oldest", "quietest": "The quietest"}


class ControllerCard(Card):
    """Every field changes the profile at once."""

    def __init__(self, desk: ProfileDesk) -> None:
        super().__init__("Keys and wheels")
        self._desk = desk
        self.bend = CalmSpin("Bend range", low=0.0, high=96.0, decimals=0, step=1.0, suffix=" st")
        self.members = CalmSpin("MPE members", low=0.0, high=15.0, decimals=0, step=1.0)
        self.members.setSpecialValueText("as it says")
        self.velocity = CalmChooser("Velocity curve", lambda: [(key, title) for key, (title, _) in CURVES.items()])
        self.polyphony = CalmSpin("Most voices", low=1.0, high=float(MAX_POLYPHONY), decimals=0, step=1.0)
        self.stealing = CalmChooser("Which note yields", lambda: [(name, _STEALING_WORDS[name]) for name in STEALING])
        self.panic = CalmChooser("Control for panic", _panic_choices)
        self._arrange()
        self._connect()
        desk.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the profile as it is."""
        profile = self._desk.profile
        self.setEnabled(profile is not None)
        if profile is None:
            return
        self.bend.show_value(profile.bend_semitones)
        self.members.show_value(profile.mpe_lower_members)
        self.polyphony.show_value(profile.polyphony)
        key = curve_key(profile.velocity_curve)
        self.velocity.show_choice(key, CURVES[key][0] if key != OWN_CURVE else "Its own")
        self.stealing.show_choice(profile.stealing, _STEALING_WORDS[profile.stealing])
        panic = _NONE if profile.panic_cc is None else str(profile.panic_cc)
        self.panic.show_choice(panic, "None" if profile.panic_cc is None else f"CC {profile.panic_cc}")

    def _arrange(self) -> None:
        fields: tuple[tuple[str, QWidget, str], ...] = (
            ("Bend range", self.bend, "Outside MPE zones, until the controller says otherwise"),
            ("MPE members", self.members, "Of the lower zone, from the start; the controller may say so itself"),
            ("Velocity", self.velocity, "From the keyboard's velocity to the note's"),
            ("Most voices", self.polyphony, "Release tails included"),
            ("Yields first", self.stealing, "Which held note ends when there are too many"),
            ("Panic on", self.panic, "A control that silences everything at once"),
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        for column, (title, field, tip) in enumerate(fields):
            field.setToolTip(tip)
            grid.addWidget(label(title, "dim"), 0, column)
            grid.addWidget(field, 1, column)
            grid.setColumnStretch(column, 1)
        self.column.addLayout(grid)

    def _connect(self) -> None:
        self.bend.entered.connect(lambda value: self._set("Bend Range", bend_semitones=value))
        self.members.entered.connect(lambda value: self._set("MPE Zone", mpe_lower_members=int(value)))
        self.polyphony.entered.connect(lambda value: self._set("Most Voices", polyphony=int(value)))
        self.stealing.picked.connect(lambda name: self._set("Which Note Yields", stealing=name))
        self.velocity.picked.connect(self._set_velocity)
        self.panic.picked.connect(
            lambda text: self._set("Control for Panic", panic_cc=None if text == _NONE else int(text))
        )

    def _set_velocity(self, key: str) -> None:
        curve = CURVES.get(key, ("", ResponseCurve()))[1]
        if key in CURVES:
            self._set("Velocity Curve", velocity_curve=curve)

    def _set(self, name: str, **values: object) -> None:
        self._desk.change(name, lambda profile: replace(profile, **values))  # pyright: ignore[reportArgumentType]


def _panic_choices() -> list[tuple[str, str]]:
    numbers = [number for number in range(120) if number not in RESERVED_CONTROLS]
    return [(_NONE, "None"), *((str(number), f"CC {number}") for number in numbers)]
