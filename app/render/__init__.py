"""Passages become sound: cells, their cache, the sampler process, audio files."""
