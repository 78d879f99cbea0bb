"""What the labels of recordings say about our lanes: our own catalogue's, VocalSet's and EMVD's.

A label comes from a file or folder name: it names a manner for the whole file and no degree of it. The clip keeps its
label beside the technique, so that a set can be told apart, weighted and mapped again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from synth.spec import TECHNIQUES


@dataclass(frozen=True, slots=True)
class LabelMeaning:
    """What a label says about our lanes. `ingress` is 0 (exhaled) or 1 (inhaled)."""

    technique: Mapping[str, float]
    ingress: float = 0.0


def _is(technique: str, ingress: float = 0.0) -> LabelMeaning:
    return LabelMeaning(MappingProxyType({technique: 1.0}), ingress)


_CATALOGUE: Final = {
    "breath_inhale": _is("breathy", ingress=1.0),  # unvoiced air through an open glottis, inwards
    "growl_consonant": _is("growl"),  # spoken with the growler's false-fold setting
    "growl_diphthong": _is("growl"),
    "growl_exclamation": _is("growl"),
    "growl_phrase": _is("growl"),
    "growl_vowel": _is("growl"),
    "shout_interjection": _is("shout"),
    "singing_phrase": _is("modal"),
    "singing_phrase_soul": _is("modal"),  # belted in places: loudness and tension say so, frame by frame
    "singing_scat": _is("modal"),
    "singing_vocalise_adlib": _is("modal"),
    "speech": _is("modal"),
    "sung_note_sustained": _is("modal"),
    "sung_vowel_sustained": _is("modal"),
    "sung_vowel_sustained_rawtake": _is("modal"),
    "whisper": _is("whisper"),
}
# The techniques of VocalSet (Wilkins, Seetharaman, Wahl, Pardo 2018), by the names of their folders. Dynamics, speed,
# vibrato and trills are movements of pitch and loudness, which have lanes of their own.
VOCALSET: Final[Mapping[str, LabelMeaning]] = MappingProxyType(
    {
        "belt": _is("modal"),  # loud and tense: lanes say so
        "breathy": _is("breathy"),
        "fast_forte": _is("modal"),
        "fast_piano": _is("modal"),
        "forte": _is("modal"),
        "inhaled": _is("modal", ingress=1.0),  # the folds vibrate on the breath drawn in
        "lip_trill": _is("modal"),  # the lips beat, the folds sing: leave it out where that is not wanted
        "messa": _is("modal"),
        "pp": _is("modal"),
        "slow_forte": _is("modal"),
        "slow_piano": _is("modal"),
        "spoken": _is("modal"),
        "straight": _is("modal"),
        "trill": _is("modal"),
        "trillo": _is("modal"),
        "vibrato": _is("modal"),
        "vocal_fry": _is("fry"),
    }
)
# The techniques and effects of EMVD (Tailleur, Pinquier, Millot, Vogel, Lagrange 2024), as its metadata names them.
EMVD: Final[Mapping[str, LabelMeaning]] = MappingProxyType(
    {
        "clear_voice": _is("modal"),
        "black_shriek": _is("scream"),
        "death_growl": _is("growl"),
        "hardcore_scream": _is("scream"),
        "grind_inhale": _is("growl", ingress=1.0),  # a distorted voice on the breath drawn in
        "pig_squeal": LabelMeaning(MappingProxyType({"growl": 0.5, "scream": 0.5})),  # growling, with a squeal's tract
        "deep_gutturals": _is("growl"),
        "tunnel_throat": _is("growl"),
    }
)
LABEL_MEANINGS: Final[Mapping[str, LabelMeaning]] = MappingProxyType(
    _CATALOGUE | {name: _is(name) for name in TECHNIQUES if name not in _CATALOGUE} | dict(VOCALSET) | dict(EMVD)
)
