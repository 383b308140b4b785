"""Pushing checkpoints and the trained model to the hub: what the recipe asks for, what goes where, and a process that does it.

A push never stops, slows or fails a run: it happens beside the training, and what goes wrong is a line in the log and a
count in the metrics. Nothing here imports torch.
"""
