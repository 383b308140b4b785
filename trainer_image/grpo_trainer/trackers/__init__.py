"""Weights & Biases, TensorBoard and Trackio: what the recipe asks for under `report_to`, in a process of their own.

A tracker never stops, slows or fails a run: it is told beside the training, and what goes wrong with it is a line in the
log. What it could not send lies on the run's volume. Nothing here imports torch.
"""
