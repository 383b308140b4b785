"""What the learner takes of TRL, imported without vLLM, wandb and trackio.

Where they are installed TRL imports them together with its trainer, for servers, engines and trackers that it would run
in this process: half of the seconds between a learner's start and its first line of work, on every rank of every
attempt. Here generators and trackers are told by clients of ours, which need nothing of them in this process.
"""

from importlib import import_module

TRACKERS = ("is_wandb_available", "is_trackio_available")
# {module: what TRL asks it}
QUESTIONS = {
    "trl.import_utils": ("is_vllm_available",),
    "transformers": TRACKERS,
    "transformers.integrations": TRACKERS,
    "accelerate.utils": TRACKERS,
}
for module, questions in QUESTIONS.items():
    vars(import_module(module)).update({question: lambda *_, **__: False for question in questions})

from trl import (  # noqa: E402
    GRPOConfig,
    GRPOTrainer,
    ModelConfig,
    ScriptArguments,
    TrlParser,
    get_peft_config,
    is_conversational,
)
from trl.chat_template_utils import parse_response  # noqa: E402
from trl.generation.vllm_generation import VLLMGeneration  # noqa: E402
from trl.trainer.utils import nanstd  # noqa: E402

__all__ = [
    "GRPOConfig",
    "GRPOTrainer",
    "ModelConfig",
    "ScriptArguments",
    "TrlParser",
    "VLLMGeneration",
    "get_peft_config",
    "is_conversational",
    "nanstd",
    "parse_response",
]
