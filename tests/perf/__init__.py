"""Benchmarks: they print and write figures, and never judge them. Nothing else may import them."""
