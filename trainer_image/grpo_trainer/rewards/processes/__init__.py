"""Reward functions in processes of their own, so that none of them can take training along.

One process for each module of the user's, and a few for the built-in functions together. A process that does not answer
within the deadline of a call is killed and replaced; the completions of that call have no reward. The processes are
started anew, never forked from training, and end with it. Nothing here imports torch.
"""
