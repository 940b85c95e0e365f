"""A tiny model of video and language that knows drawn things that move, and nothing else."""
