"""A policy whose weights are offered to generators, and how far a generator's log-probabilities are from its own."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from transformers import Qwen2ForCausalLM

from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.weights import WeightServer
from trainer.tiny_model import build_model, build_tokenizer

TOKENIZER = build_tokenizer()
PROMPTS: list[list[int]] = TOKENIZER(["hello world", "What is 2 + 3?", "a" * 40])["input_ids"]
SAMPLING = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "max_tokens": 24,
    "logprobs": 0,
}
IN_SYNC = 1e-4
"""Nats. In float32 vLLM and transformers differ by less."""
OUT_OF_SYNC = 1e-3


def policy(seed: int) -> Qwen2ForCausalLM:
    return build_model(TOKENIZER, seed)


SNAPSHOTS: WeakKeyDictionary[WeightServer, Snapshot] = WeakKeyDictionary()


def publish(model: torch.nn.Module, weights: WeightServer) -> None:
    snapshot = SNAPSHOTS.setdefault(weights, Snapshot(weights))
    snapshot.publish(weight_tensor(name, parameter) for name, parameter in model.named_parameters())


def size_bytes(model: torch.nn.Module, before: torch.nn.Module | None = None) -> int:
    """Of all its weights; or of those that are other ones than before."""
    last = dict(before.named_parameters()) if before else {}
    return sum(
        parameter.numel() * parameter.element_size()
        for name, parameter in model.named_parameters()
        if name not in last or not torch.equal(parameter, last[name])
    )


def logprob_difference(
    model: torch.nn.Module, groups: Sequence[Sequence[Completion]], prompts: Sequence[list[int]] = PROMPTS
) -> float:
    """The largest over all tokens: sampled by a generator, judged by the model."""
    assert len(groups) == len(prompts)
    return max(
        _difference(model, prompt, completion)
        for prompt, group in zip(prompts, groups, strict=True)
        for completion in group
    )


def _difference(model: torch.nn.Module, prompt: list[int], completion: Completion) -> float:
    return float(differences(model, prompt, completion).max())


def differences(model: torch.nn.Module, prompt: list[int], completion: Completion) -> torch.Tensor:
    """Of each token."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + completion.token_ids])).logits[0, len(prompt) - 1 : -1]
    own = logits.log_softmax(-1)[range(len(completion.token_ids)), completion.token_ids]
    return (own - torch.tensor(completion.logprobs)).abs()
