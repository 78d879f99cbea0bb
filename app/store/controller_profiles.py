"""Controller profiles: strict JSON, one for each controller name. Described in docs/midi.md.

Revisions:
1  the first: the keys of app.state.controller_profile.ControllerProfile.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import platformdirs

from app.state.controller_profile import Binding, ControllerProfile, default_profile
from app.state.places import PlacedError, at
from app.state.response import LINEAR, ResponseCurve
from app.store.documents import Document, Fields, Migration, migrate, pairs, read_document, save_document, set_aside
from synth.errors import UserError

_logger = logging.getLogger(__name__)

PROFILE_REVISION: Final = 1
PROFILE_SUFFIX: Final = ".json"
MIGRATIONS: Final[Mapping[int, Migration]] = {}
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_STEM_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class LoadedProfile:
    """A profile to play with; `fault` says why it is the default one although a file was there."""

    profile: ControllerProfile
    fault: UserError | None = None


def profile_folder() -> Path:
    """Where this user's controller profiles live; it need not exist."""
    return platformdirs.user_config_path("stridor", appauthor=False) / "controllers"


def profile_path(name: str, folder: Path | None = None) -> Path:
    """The file of the controller called `name`; names that differ in anything have files of their own."""
    stem = _NOT_IN_NAMES.sub("-", name.casefold()).strip("-")[:_STEM_LENGTH] or "controller"
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return (profile_folder() if folder is None else folder) / f"{stem}-{mark}{PROFILE_SUFFIX}"


def load_profile(name: str, folder: Path | None = None) -> LoadedProfile:
    """The profile of a controller; the default map where there is none. A broken file is kept aside as `.broken`."""
    path = profile_path(name, folder)
    if not path.exists():
        return LoadedProfile(default_profile(name))
    try:
        return LoadedProfile(read_profile_file(path))
    except UserError as fault:
        _logger.info("controller profile at %s not used: %s", path, fault)
        problem = f"The profile of {name} could not be used: {fault.message}"
        told = UserError(problem, remedy=f"{fault.remedy} {set_aside(path)}")
        return LoadedProfile(default_profile(name), told)


def list_profiles(folder: Path | None = None) -> list[ControllerProfile]:
    """Every readable profile, sorted by name; unreadable ones are logged."""
    profiles: list[ControllerProfile] = []
    for path in sorted((profile_folder() if folder is None else folder).glob(f"*{PROFILE_SUFFIX}")):
        try:
            profiles.append(read_profile_file(path))
        except UserError as fault:
            _logger.info("controller profile left out: %s", fault)
    return sorted(profiles, key=lambda profile: profile.name.casefold())


def read_profile_file(path: Path) -> ControllerProfile:
    """One profile file, wherever it lies. Raises UserError that names file, key and place."""
    document = read_document(path, what="controller profile")
    try:
        return profile_from_document(document)
    except PlacedError as fault:
        raise UserError(f"{path.name}: {fault.message}", remedy=fault.remedy) from fault


def save_profile(profile: ControllerProfile, folder: Path | None = None) -> Path:
    """Write the profile in place of the one its controller had. -> its path. Raises UserError."""
    path = profile_path(profile.name, folder)
    save_document(path, profile_to_document(profile))
    return path


def delete_profile(name: str, folder: Path | None = None) -> None:
    """Forget the profile of this name; nothing where there is none. Raises UserError."""
    path = profile_path(name, folder)
    try:
        path.unlink(missing_ok=True)
    except OSError as fault:
        raise UserError(f"{path} cannot be deleted: {fault.strerror or fault}.", remedy="Check its folder.") from fault


def profile_from_document(document: Document) -> ControllerProfile:
    """A profile from parsed JSON of any known revision. Raises PlacedError."""
    entries = Fields(migrate(document, PROFILE_REVISION, MIGRATIONS, what="controller profile"), "")
    entries.take("revision")
    values: dict[str, Any] = {"name": entries.text("name")}
    bindings: list[Binding] = []
    for index, item in enumerate(entries.items("bindings", [])):
        with at(f"bindings[{index}]"):
            bindings.append(_binding(item))
    with at("velocity_curve"):
        velocity_curve = _curve(entries.take("velocity_curve", None))
    for field in fields(ControllerProfile):
        if field.name not in ("name", "bindings", "velocity_curve"):
            values[field.name] = _plain(entries, field.name, field.default)
    entries.finish()
    return ControllerProfile(bindings=tuple(bindings), velocity_curve=velocity_curve, **values)


def profile_to_document(profile: ControllerProfile) -> Document:
    """The profile as JSON values; `profile_from_document` gives an equal profile back."""
    document: Document = {"revision": PROFILE_REVISION}
    for field in fields(profile):
        document[field.name] = _to_json(getattr(profile, field.name))
    return document


def _binding(item: object) -> Binding:
    entries = Fields(item, "")
    with at("curve"):
        curve = _curve(entries.take("curve", None))
    binding = Binding(
        source=entries.text("source"),
        lane=entries.text("lane"),
        low=entries.number("low"),
        high=entries.number("high"),
        curve=curve,
        **{name: _plain(entries, name, _BINDING_DEFAULTS[name]) for name in _OPTIONAL},
    )
    entries.finish()
    return binding


def _curve(item: object) -> ResponseCurve:
    if item is None:
        return LINEAR
    entries = Fields(item, "")
    curve = ResponseCurve(
        kind=entries.text("kind"),
        steepness=entries.number("steepness", LINEAR.steepness),
        points=tuple((x, y) for x, y in pairs(entries.take("points", []), 2, "points")),
    )
    entries.finish()
    return curve


def _plain(entries: Fields, name: str, default: Any) -> Any:
    """A value of the same kind as its default; None stands for a whole number that may be absent."""
    if default is None:
        value = entries.take(name, None)
        if value is None:
            return None
        return Fields({name: value}, "").integer(name)
    if isinstance(default, bool):
        value = entries.take(name, default)
        if not isinstance(value, bool):
            raise PlacedError(name, f"{value!r} where true or false belongs.")
        return value
    if isinstance(default, str):
        return entries.text(name, default)
    return entries.integer(name, default) if isinstance(default, int) else entries.number(name, default)


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, ResponseCurve | Binding):
        entries = {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, ResponseCurve) and not value.points:
            del entries["points"]
        return entries
    return value


_OPTIONAL: Final = ("mode", "polarity", "takeover", "smoothing_s")
_BINDING_DEFAULTS: Final = {field.name: field.default for field in fields(Binding)}
