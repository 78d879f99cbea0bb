"""Hearing a voice as it comes: pitch, level, phonation, without looking ahead. No threads, no devices, no torch."""
