"""The ears: every lane measured from audio."""

from synth.features.analysis import Analysis, TechniqueClassifier, analyse, technique_features
from synth.features.f0 import F0Track, track_f0

__all__ = ["Analysis", "F0Track", "TechniqueClassifier", "analyse", "technique_features", "track_f0"]
