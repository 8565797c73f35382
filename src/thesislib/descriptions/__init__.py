"""Audio description: the gaps that a film leaves, cues that fit them, and what a track is worth."""
