"""`make bench-gpu`: what one GPU tells of the learner, with models of real shapes and random weights. Nothing is downloaded.

Each measurement is a process of its own. There is no vLLM in any: generators are paced, or scripted inside of the process.
"""
