"""The learner: DeepSpeed ZeRO-3 and TRL's GRPOTrainer, fed by a fleet of generators.

TRL owns the algorithm (loss, advantages, KL, clipping). What is here is what TRL lacks on Kubernetes: launching,
loading with errors that name the remedy, checkpoints that survive pods, metrics, progress. It knows nothing of
Kubernetes objects: all it is told comes from `grpo_contract.config.RunConfig`.
"""
