"""Training: schedules, optimizers, the loop, checkpoints."""
