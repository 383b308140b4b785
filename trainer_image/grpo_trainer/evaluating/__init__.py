"""Evaluation during the training and after it, and what follows from one: the best model, an early end, a schedule."""
