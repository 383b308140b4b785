"""Reward functions under Open-R1's names and definitions, and how a recipe's `reward_funcs` are found.

A reward function takes TRL's keyword arguments (`prompts`, `completions`, `completion_ids` and every column of the data
set) and returns one `Score` per completion. None, where there is nothing to score, leaves the completion out of that
function's reward. FAILED, where the scoring broke down, leaves it out of learning altogether: the sum of the other
functions' scores would be the reward of a wrong answer. Nothing here imports torch.
"""
