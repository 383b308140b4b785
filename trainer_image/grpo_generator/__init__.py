"""A generator: vLLM's own OpenAI-compatible server that fetches the run's weights and answers only to its learners.

`python -m grpo_generator` checks what it can before vLLM is imported, starts vLLM and says why it ended. It knows
nothing of the training: which weights it holds is decided by the learner (grpo_trainer.fleet).
"""
