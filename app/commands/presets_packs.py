"""`stridor presets pack|verify|install|remove|undo|keys`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show
from synth.errors import UserError

if TYPE_CHECKING:
    from app.state.preset import Preset
    from app.store.installed_packs import InstalledPack
    from app.store.packs.compatibility import Weights
    from app.store.packs.install import Plan, Question

FILE = click.Path(path_type=Path)


@stridor_command(
    "pack",
    example="stridor presets pack growl scream -o orcs.stridorpack --id orcs --name Orcs --author Ann "
    "--licence CC0-1.0 --consent Mine",
)
@click.argument("preset_ids", metavar="PRESET...", nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="A .stridorpack file.")
@click.option("--id", "pack_id", required=True, help="a-z, 0-9, - and _.")
@click.option("--name", required=True)
@click.option("--author", required=True)
@click.option("--licence", required=True, help="Of the whole, such as CC0-1.0 or CC-BY-4.0.")
@click.option("--consent", required=True, help="Whose voices these are and what they agreed to.")
@click.option("--pack-version", "version", default="1.0", show_default=True)
@click.option("--description", default="")
@click.option("--gesture", "gestures", type=FILE, multiple=True, help="A passage to come with it.")
@click.option("--picture", "pictures", type=FILE, multiple=True, help="A PNG file; the first is the cover.")
@click.option("--text", "texts", type=FILE, multiple=True, help="A plain text file.")
@click.option("--previews", is_flag=True, help="Sing two seconds of every preset into the pack.")
@click.option("--unsigned", is_flag=True, help="Do not sign it, although you have a key.")
def pack_command(preset_ids: tuple[str, ...], output: Path, unsigned: bool, as_json: bool, **given: Any) -> None:
    """Put presets, the adapters they sing with, and what you add into one file that strangers can install.

    It is signed where you have a key: see `stridor presets keys --make`.
    """
    from app.store.adapters import find_adapter
    from app.store.atomic import read_bytes
    from app.store.packs.keys import read_author_key
    from app.store.packs.manifest import Manifest
    from app.store.packs.names import stem_of
    from app.store.packs.writer import PackContents, build_pack, save_pack
    from app.store.passages import load_passage
    from app.store.presets import load_preset

    presets = tuple(load_preset(preset_id) for preset_id in dict.fromkeys(preset_ids))
    wanted = dict.fromkeys(adapter.id for preset in presets for adapter in preset.adapters)
    contents = PackContents(
        presets,
        adapters=tuple(read_bytes(find_adapter(adapter_id)) for adapter_id in wanted),
        gestures={stem_of(path.name): load_passage(path) for path in given["gestures"]},
        previews=_sung(presets) if given["previews"] else {},
        pictures={stem_of(path.name): read_bytes(path) for path in given["pictures"]},
        texts={stem_of(path.name): _page(path) for path in given["texts"]},
    )
    facts = {key: given[key] for key in ("name", "version", "author", "licence", "consent", "description")}
    key = None if unsigned else read_author_key()
    save_pack(output, build_pack(Manifest(given["pack_id"], **facts), contents, key))
    signed = "signed" if key is not None else "not signed"
    lines = [
        f"{output}: {len(presets)} presets, {len(wanted)} adapters, {output.stat().st_size / 1e6:.2f} MB, {signed}"
    ]
    result = {"output": output, "presets": [p.id for p in presets], "adapters": list(wanted), "signed": key is not None}
    show(result, lines, as_json=as_json)


def _page(path: Path) -> Any:
    from app.store.atomic import read_bytes
    from app.store.packs.reader import Text

    try:
        return Text(path.stem, read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError as fault:
        raise UserError(f"{path} is no text.", remedy="Give a plain text file in UTF-8.") from fault


def _sung(presets: Iterable[Preset]) -> dict[str, bytes]:
    """Two seconds of each preset as FLAC."""
    import soundfile

    from app.commands.presets_check import PresetSinger
    from synth.spec import SAMPLE_RATE_HZ

    singer = PresetSinger()
    previews: dict[str, bytes] = {}
    for preset in presets:
        file = io.BytesIO()
        soundfile.write(file, singer.sing(preset), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
        previews[preset.id] = file.getvalue()
    return previews


@stridor_command("verify", example="stridor presets verify orcs.stridorpack")
@click.argument("pack_path", metavar="PACK", type=FILE)
def verify_command(pack_path: Path, as_json: bool) -> None:
    """Check a pack and say what it is, without writing anything."""
    from app.store.packs.reader import read_pack
    from app.store.packs.summary import summary_lines

    plan = _plan(read_pack(pack_path))
    show(_plan_values(plan), ["The pack is whole.", *summary_lines(plan)], as_json=as_json)


@stridor_command("install", example="stridor presets install orcs.stridorpack")
@click.argument("source", metavar="PACK")
@click.option("--from", "registry", metavar="INDEX", help="PACK is an id in this registry: a file, or an address.")
@click.option("--replace", is_flag=True, help="Agree to replace another version of the pack.")
@click.option("--rename", is_flag=True, help="Agree that presets whose ids are taken get other ids.")
@click.option("--trust-key", is_flag=True, help="Agree to another key than the author's until now, or to none.")
def install_command(
    source: str, registry: str | None, replace: bool, rename: bool, trust_key: bool, as_json: bool
) -> None:
    """Install a pack, after showing what is in it. Nothing is replaced without asking, and it can be undone."""
    from app.store.packs.install import Question
    from app.store.packs.reader import PackReader
    from app.store.packs.summary import summary_lines

    with _opened(source, registry) as file:
        plan = _plan(PackReader(file).read())
        given = {Question.REPLACE: replace, Question.RENAME: rename, Question.KEY: trust_key}
        agreed = {question for question, is_given in given.items() if is_given}
        if not as_json:
            show({}, summary_lines(plan), as_json=False)
            agreed |= _asked(plan, agreed)
        entry = _installed(file, plan, frozenset(agreed))
    lines = [f"Installed: {', '.join(entry.presets)}", "`stridor presets undo` takes it back."]
    show({**_plan_values(plan), "installed": list(entry.presets)}, lines, as_json=as_json)


def _installed(file: Any, plan: Plan, agreed: frozenset[Question]) -> InstalledPack:
    """Raises UserError that names the options by which to agree."""
    from app.store.packs.install import Question, install

    options = {Question.REPLACE: "--replace", Question.RENAME: "--rename", Question.KEY: "--trust-key"}
    try:
        return install(file, plan, agreed=agreed)
    except UserError as fault:
        missing = [options[question] for question in sorted(plan.questions - agreed)]
        if not missing:
            raise
        raise UserError(
            fault.message, remedy=f"Agree to it with {' '.join(missing)}, or leave the pack out."
        ) from fault


def _opened(source: str, registry: str | None) -> Any:
    if registry is not None:
        from app.store.packs.registry import fetch_pack, read_registry

        found = read_registry(registry)
        return io.BytesIO(fetch_pack(found, found.find(source)))
    try:
        return Path(source).open("rb")
    except OSError as fault:
        raise UserError(f"{source} cannot be read: {fault.strerror or fault}.", remedy="Check the path.") from fault


def _asked(plan: Plan, agreed: set[Question]) -> set[Question]:
    """What the person at the terminal agrees to; where there is none, nothing is asked."""
    from app.store.packs.install import Question

    words = {
        Question.REPLACE: "Replace the installed version?",
        Question.RENAME: "Install those presets under other ids?",
        Question.KEY: "Install it although nobody vouches for its author as before?",
    }
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return set()
    open_questions = sorted(plan.questions - agreed)
    if not open_questions and not agreed:
        if not click.confirm("Install it?", default=True, err=True):
            raise UserError("Nothing was installed.")
        return set()
    return {question for question in open_questions if click.confirm(words[question], default=False, err=True)}


@stridor_command("remove", example="stridor presets remove orcs")
@click.argument("pack_id", metavar="PACK_ID")
def remove_command(pack_id: str, as_json: bool) -> None:
    """Remove an installed pack; `stridor presets undo` brings it back."""
    from app.store.packs.install import remove

    pack = remove(pack_id)
    show({"removed": pack.id}, [f"Removed {pack.name} {pack.version}.", "`stridor presets undo` brings it back."],
         as_json=as_json)  # fmt: skip


@stridor_command("undo", example="stridor presets undo")
def undo_command(as_json: bool) -> None:
    """Take back the newest installation or removal of a pack."""
    from app.store.packs.install import undo

    name = undo()
    show({"undone": name}, [f"Undone: {name}"], as_json=as_json)


@stridor_command("keys", example="stridor presets keys")
@click.option("--make", "makes_one", is_flag=True, help="Make your key first.")
@click.option(
    "--forget", metavar="FINGERPRINT", help="Forget a pinned key: its author's next pack counts as the first."
)
def keys_command(makes_one: bool, forget: str | None, as_json: bool) -> None:
    """Show the fingerprints of your key, which signs your packs, and of those of authors whose packs you installed.

    Your key lies in your configuration folder, readable by you alone, and never goes into a pack.
    """
    from app.store.packs.keys import keys_folder, make_author_key, read_author_key, read_pins, write_pins
    from app.store.packs.signing import public_key_of

    if makes_one:
        make_author_key()
    if forget is not None:
        write_pins(read_pins().without(forget))
    key, pins = read_author_key(), read_pins()
    own = None if key is None else public_key_of(key).fingerprint
    lines = [f"Yours: {own}" if own else "You have no key; `stridor presets keys --make` makes one."]
    lines += [f"Keep a copy of {keys_folder()} in a safe place: it cannot be made again."] if makes_one else []
    lines += [f"{pin.author}: {pin.key.fingerprint}" for pin in pins.pins]
    pinned = [{"author": pin.author, "fingerprint": pin.key.fingerprint} for pin in pins.pins]
    show({"own": own, "pinned": pinned}, lines, as_json=as_json)


def _plan(pack: Any) -> Plan:
    from app.store.packs.install import plan_installation

    return plan_installation(pack, weights=_weights())


def _weights() -> Weights | None:
    """Those installed here; None where there are none to compare with."""
    from app.store.packs.compatibility import installed_weights
    from app.store.presets import FACTORY_FOLDER

    try:
        return installed_weights(FACTORY_FOLDER / "models" / "default")
    except UserError:
        return None


def _plan_values(plan: Plan) -> dict[str, Any]:
    manifest, signer = plan.pack.manifest, plan.pack.signer
    return {
        "id": manifest.id,
        "name": manifest.name,
        "version": manifest.version,
        "author": manifest.author,
        "licence": manifest.licence,
        "consent": manifest.consent,
        "sha256": plan.pack.manifest_sha256,
        "fingerprint": None if signer is None else signer.fingerprint,
        "trust": plan.trust.value,
        "presets": list(plan.preset_ids),
        "adapters": list(plan.pack.adapters),
        "questions": sorted(plan.questions),
        "remarks": list(plan.remarks),
    }
