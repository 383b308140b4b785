"""Reward functions under Open-R1's names and definitions, and how a recipe's `reward_funcs` are found.

A reward function takes TRL's keyword arguments (`prompts`, `completions`, `completion_ids` and every column of the data
set) and returns one number per completion, or None where it cannot score: TRL leaves such a completion out of that
function's reward. None is the only answer to trouble: a failure to score is never a score. Nothing here imports torch.
"""
