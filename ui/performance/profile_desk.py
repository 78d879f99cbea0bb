"""The chosen controller's profile as it is edited: changes take effect at once, are kept, and can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.services import ControlLearnt, InstrumentLike
from app.state.controller_profile import Binding, ControllerProfile, default_profile
from app.state.places import PlacedError
from app.store.controller_profiles import delete_profile, list_profiles, save_profile
from synth.errors import UserError
from ui.performance.mappings import fresh_binding, source_title, target_title

_LEARN_LIMIT_MS = 30_000  # the engine gives up after as long
_MOST_STEPS = 200


class ProfileDesk(QObject):
    """changed           another profile is in force, or the same one differs
    learning_changed  a lane is waiting for its control, or no more
    told              (message, remedy) of what could not be done
    """

    changed = Signal()
    learning_changed = Signal()
    told = Signal(str, str)

    def __init__(self, instrument: InstrumentLike, folder: Path | None = None, parent: QObject | None = None) -> None:
        """folder   of profiles; None: the user's"""
        super().__init__(parent)
        self._instrument, self._folder = instrument, folder
        self._shown: ControllerProfile | None = None
        self._done: list[tuple[str, ControllerProfile, ControllerProfile]] = []
        self._undone: list[tuple[str, ControllerProfile, ControllerProfile]] = []
        self._learning: str | None = None
        self._replaces: Binding | None = None
        self._learnt: tuple[ControlLearnt, Binding | None] | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_LEARN_LIMIT_MS)
        self._patience.timeout.connect(self.cancel_learning)

    # ---- what there is

    @property
    def profile(self) -> ControllerProfile | None:
        return self._shown

    @property
    def learning(self) -> str | None:
        """The lane that waits for a control."""
        return self._learning

    @property
    def replaces(self) -> Binding | None:
        """The mapping whose control is being learnt anew."""
        return self._replaces

    @property
    def undo_name(self) -> str | None:
        return self._done[-1][0] if self._done else None

    @property
    def redo_name(self) -> str | None:
        return self._undone[-1][0] if self._undone else None

    def names(self) -> list[str]:
        """The profiles that are kept, but for the one in force."""
        own = None if self._shown is None else self._shown.name
        return [profile.name for profile in list_profiles(self._folder) if profile.name != own]

    def look(self) -> None:
        """See whether the instrument plays by another profile. Cheap: call it with every picture."""
        now = self._instrument.live_profile()
        if now is not None and self._learnt is not None:
            self._conclude(now)
            now = self._instrument.live_profile()
        if now is self._shown or now == self._shown:
            return
        if now is None or self._shown is None or now.name != self._shown.name:
            self._done.clear()
            self._undone.clear()
            self._learnt = None
        self._shown = now
        self.changed.emit()

    # ---- changes

    def change(self, name: str, change: Callable[[ControllerProfile], ControllerProfile]) -> bool:
        """One step, called `name`. -> whether it could be done"""
        before = self._shown
        if before is None:
            self.told.emit("There is no controller profile yet.", "Wait until the live engine has started.")
            return False
        try:
            after = change(before)
        except PlacedError as fault:
            self.told.emit(f"{name}: {fault.problem}", fault.remedy)
            self.changed.emit()  # what was typed is not so
            return False
        if after == before:
            return True
        self._push(name, before, after)
        self._use(after)
        return True

    def undo(self) -> None:
        """Take the last step back."""
        if self._done:
            step = self._done.pop()
            self._undone.append(step)
            self._use(step[1])

    def redo(self) -> None:
        """Do it again."""
        if self._undone:
            step = self._undone.pop()
            self._done.append(step)
            self._use(step[2])

    def replace_binding(self, binding: Binding, **values: object) -> bool:
        """Change one mapping in its place."""

        def change(profile: ControllerProfile) -> ControllerProfile:
            changed = replace(binding, **values)  # pyright: ignore[reportArgumentType]
            return replace(profile, bindings=tuple(changed if b == binding else b for b in profile.bindings))

        return self.change(f"Change {target_title(binding.lane)} Mapping", change)

    def add(self, source: str, lane_id: str) -> bool:
        """Map a control to a lane."""
        return self.change(
            f"Map {target_title(lane_id)}", lambda profile: profile.with_binding(fresh_binding(source, lane_id))
        )

    def remove(self, binding: Binding) -> None:
        """Forget one mapping."""
        name = f"Remove {target_title(binding.lane)} Mapping"
        self.change(name, lambda profile: profile.without_binding(binding.source, binding.lane))

    def reset(self) -> None:
        """The map of a controller that nobody has changed."""
        self.change("Reset the Map", lambda profile: default_profile(profile.name))

    # ---- profiles that are kept

    def use(self, name: str) -> None:
        """Play this controller by another one's profile."""
        found = next((profile for profile in list_profiles(self._folder) if profile.name == name), None)
        if found is None:
            self.told.emit(f"There is no profile {name!r} any more.", "Choose another one.")
            return
        self.change(f"Use {name}", lambda profile: replace(found, name=profile.name))

    def keep_as(self, name: str) -> bool:
        """Keep a copy under another name. -> whether it was kept"""
        profile = self._shown
        if profile is None:
            return False
        if name.strip() in (profile.name, *self.names()):
            self.told.emit(f"There is a profile {name.strip()!r} already.", "Choose another name.")
            return False
        return self._kept(lambda: save_profile(replace(profile, name=name.strip()), self._folder))

    def rename(self, name: str, new_name: str) -> bool:
        """Call a kept profile otherwise. -> whether it was done"""
        found = next((profile for profile in list_profiles(self._folder) if profile.name == name), None)
        if found is None or new_name.strip() in (name, *self.names()):
            self.told.emit(f"{name!r} cannot be called {new_name.strip()!r}.", "Choose a name that is free.")
            return False

        def carry_out() -> None:
            save_profile(replace(found, name=new_name.strip()), self._folder)
            delete_profile(name, self._folder)

        return self._kept(carry_out)

    def delete(self, name: str) -> bool:
        """Forget a kept profile."""
        return self._kept(lambda: delete_profile(name, self._folder))

    # ---- learning

    def learn(self, lane_id: str, *, instead_of: Binding | None = None) -> None:
        """Bind the next control that moves to this lane; `instead_of` gives up its own control for it."""
        self._learning, self._replaces = lane_id, instead_of
        self._instrument.learn(lane_id)
        self._patience.start()
        self.learning_changed.emit()

    def cancel_learning(self) -> None:
        """Listen no more."""
        if self._learning is not None:
            self._instrument.learn(None)
            self._end_learning()

    def take_learnt(self, event: ControlLearnt) -> None:
        """The engine has bound a control: it is a step like any other."""
        self._learnt = (event, self._replaces)
        self._end_learning()
        self.look()

    def _conclude(self, now: ControllerProfile) -> None:
        """What was learnt has come with the profile, which may be a moment after the news."""
        if self._learnt is None or self._shown is None or now.name != self._shown.name:
            return
        event, instead_of = self._learnt
        if not any((b.source, b.lane) == (event.source, event.lane_id) for b in now.bindings):
            return
        self._learnt = None
        before, after = self._shown, now
        if instead_of is not None and instead_of.source != event.source:
            kept = fresh_binding(event.source, event.lane_id, instead_of)
            after = now.without_binding(instead_of.source, instead_of.lane).with_binding(kept)
        if after != before:
            name = f"Learn {source_title(event.source)} for {target_title(event.lane_id)}"
            self._push(name, before, after)
        if after != now:
            self._use(after)

    def _end_learning(self) -> None:
        self._patience.stop()
        self._learning = self._replaces = None
        self.learning_changed.emit()

    def _push(self, name: str, before: ControllerProfile, after: ControllerProfile) -> None:
        self._done.append((name, before, after))
        del self._done[:-_MOST_STEPS]
        self._undone.clear()

    def _use(self, profile: ControllerProfile) -> None:
        self._shown = profile
        self._instrument.set_live_profile(profile)
        self.changed.emit()

    def _kept(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except UserError as fault:
            self.told.emit(fault.message, fault.remedy)
            return False
        return True
