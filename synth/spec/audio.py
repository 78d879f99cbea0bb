"""Every number shared between rooms: sample rate, frames, cells, latent layout.

Frame i covers samples [i*HOP_SAMPLES, (i+1)*HOP_SAMPLES) and its centre lies at (i + 0.5) * HOP_S seconds.
"""

SAMPLE_RATE_HZ = 48_000
FRAME_RATE_HZ = 100
HOP_SAMPLES = SAMPLE_RATE_HZ // FRAME_RATE_HZ  # 480
HOP_S = 1.0 / FRAME_RATE_HZ

# A render is made of cells on an absolute time grid. Each cell is sampled in a window that reaches CONTEXT_FRAMES
# into its neighbours; the windows' latents are cross-faded there. The numbers bound what one edit can touch:
# a 1 s edit, widened by the context on both sides, lies in at most 3 cells.
CELL_FRAMES = 80
CONTEXT_FRAMES = 16
WINDOW_FRAMES = CELL_FRAMES + 2 * CONTEXT_FRAMES  # 112 = 7 * 16

# What the decoder sees of its latents beyond the frames it renders.
DECODER_PAST_FRAMES = 14
DECODER_FUTURE_FRAMES = 2

# Excitation phase is pinned every PHASE_ANCHOR_FRAMES, so that a pitch edit cannot move samples far from it.
PHASE_ANCHOR_FRAMES = CELL_FRAMES

SILENCE_DB = -100.0


def n_frames_for(n_samples: int) -> int:
    """Frames that cover `n_samples`, the last one possibly partial."""
    return -(-n_samples // HOP_SAMPLES)
