"""The model for live playing: latents drawn block by block, and turned into audio in blocks of any size."""
