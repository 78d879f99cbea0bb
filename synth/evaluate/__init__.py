"""What the model can do, measured: obedience, pitch, silence, proof that it makes the sound, real voices sung again."""
