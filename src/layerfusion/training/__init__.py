"""Training: the loop, its checkpoints, the disk that it needs."""
