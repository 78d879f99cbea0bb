"""What a pack is, in plain lines: shown before anything of it is written."""

from __future__ import annotations

from typing import Final

from app.store.packs.install import Plan, Question
from app.store.packs.keys import Trust
from app.store.packs.reader import Pack

_PRESETS_SHOWN: Final = 12
_TRUST: Final = {
    Trust.UNSIGNED: "Not signed: nobody vouches that {author} made it.",
    Trust.NEW: "Signed by a key not seen before: {key}. It will be remembered as {author}'s.",
    Trust.KNOWN: "Signed by {author}, with the same key as before: {key}.",
    Trust.OTHER_NAME: "Signed by a known key, which has so far signed under another name: {key}.",
    Trust.CHANGED: "CAREFUL: {author}'s packs were signed with another key until now. This one: {key}.",
    Trust.UNSIGNED_KNOWN: "CAREFUL: {author}'s packs were signed until now, and this one is not.",
}


def contents_line(pack: Pack) -> str:
    """How many of what."""
    counts = (
        ("preset", len(pack.presets)),
        ("adapter", len(pack.adapters)),
        ("gesture", len(pack.gestures)),
        ("preview", len(pack.previews_s)),
        ("text", len(pack.texts)),
    )
    return ", ".join(f"{count} {what}{'s' if count != 1 else ''}" for what, count in counts if count)


def trust_line(pack: Pack, trust: Trust) -> str:
    """What the signature says, with the key's fingerprint."""
    key = "" if pack.signer is None else pack.signer.fingerprint
    return _TRUST[trust].format(author=pack.manifest.author, key=key)


def summary_lines(plan: Plan) -> list[str]:
    """The whole summary of an installation: who, what, under which terms, and what will differ."""
    pack, manifest = plan.pack, plan.pack.manifest
    lines = [f"{manifest.name} {manifest.version}, by {manifest.author}"]
    if manifest.description:
        lines.append(manifest.description)
    lines += [f"Licence: {manifest.licence}", f"Consent: {manifest.consent}", trust_line(pack, plan.trust)]
    names = [preset.name for preset in pack.presets.values()]
    more = f" and {len(names) - _PRESETS_SHOWN} more" if len(names) > _PRESETS_SHOWN else ""
    lines.append(f"Holds {contents_line(pack)}: {', '.join(names[:_PRESETS_SHOWN])}{more}")
    lines += [f"Adapter {facts.name}: {facts.licence}. {facts.consent}" for facts in pack.adapters.values()]
    own_terms = {preset.licence for preset in pack.presets.values()} - {manifest.licence}
    if own_terms:
        lines.append(f"Some presets have a licence of their own: {', '.join(sorted(own_terms))}")
    return [*lines, *question_lines(plan), *plan.remarks]


def question_lines(plan: Plan) -> list[str]:
    """What must be agreed to, in words."""
    lines = []
    if Question.REPLACE in plan.questions and plan.replaces is not None:
        lines.append(f"It replaces {plan.replaces.name} {plan.replaces.version}, which can be brought back by undoing.")
    if Question.RENAME in plan.questions:
        named = ", ".join(f"{old} as {new}" for old, new in plan.renamed.items())
        lines.append(f"Presets of the same ids are here already; these will be installed as others: {named}.")
    return lines
