"""What a run leaves on its volume, and begins from: checkpoints, models, and who may write them."""
