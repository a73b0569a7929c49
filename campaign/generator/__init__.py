"""The traffic of one history, all of it decided by a seed, and the note of what was acknowledged. Imports nothing of the
product."""
