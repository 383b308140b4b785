"""What the learner takes of TRL, imported without vLLM.

Where vLLM is installed TRL imports it together with its trainer, for servers and engines of its own kind: half of the
seconds between a learner's start and its first line of work, on every rank of every attempt. Generators are other pods
here, and the learner's client of theirs needs nothing of vLLM.
"""

from importlib import import_module

vars(import_module("trl.import_utils"))["is_vllm_available"] = lambda min_version=None: False

from trl import GRPOConfig, GRPOTrainer, ModelConfig, ScriptArguments, TrlParser  # noqa: E402
from trl.generation.vllm_generation import VLLMGeneration  # noqa: E402

__all__ = ["GRPOConfig", "GRPOTrainer", "ModelConfig", "ScriptArguments", "TrlParser", "VLLMGeneration"]
