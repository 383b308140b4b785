"""The demo's base model: a tokenizer, a Qwen2 of 785 k parameters and a minute of supervised warm-up.

GRPO sharpens knowledge that is there; it does not teach a task to a model that never gets it right. So the warm-up
first teaches the task, then blurs it: in its last part most demonstrations have a wrong result and some a broken
format. The model starts GRPO with the right answer in reach but seldom chosen.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from grpo_demo.arithmetic import Problem, make_problem

PADDING, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE: Final = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT_TOKENS: Final = 512
NOT_LEARNT: Final = -100
"""Label of tokens that the loss leaves out."""


@dataclass(frozen=True)
class WarmUp:
    """A warm-up that starts GRPO at about a third right, well formed in a little more than half."""

    steps: int = 210
    batch: int = 64
    learning_rate: float = 3e-3
    clean_share: float = 0.8
    """Part of the steps with good demonstrations only."""
    right: float = 0.2
    """Share of right results afterwards."""
    well_formed: float = 0.6
    """Share of complete formats afterwards."""


def build_tokenizer(rng: random.Random) -> PreTrainedTokenizerFast:
    """Byte-level BPE, digits one by one, so that arithmetic can be learnt."""
    problems = [make_problem(rng) for _ in range(2000)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [f"user\n{problem.text}\nassistant\n{problem.completion(problem.result)}" for problem in problems],
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=[PADDING, START, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PADDING,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_TOKENS,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.06,  # the default 0.02 is meant for wide models; here it doubles the steps to learn
            dtype="float32",
        )
    )


def make_base_model(seed: int, warm_up: WarmUp) -> tuple[Qwen2ForCausalLM, PreTrainedTokenizerFast]:
    """About 66 CPU seconds. One thread, so that the sums are the same on every machine of a kind."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = random.Random(seed)  # noqa: S311
    tokenizer = build_tokenizer(rng)
    model = build_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=warm_up.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, warm_up.learning_rate, warm_up.steps, pct_start=0.1)
    for step in range(1, warm_up.steps + 1):
        blurred = step > warm_up.steps * warm_up.clean_share
        right, well_formed = (warm_up.right, warm_up.well_formed) if blurred else (1.0, 1.0)
        texts = [demonstration(rng, right, well_formed) for _ in range(warm_up.batch)]
        loss = model(**make_batch(tokenizer, texts)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 30 == 0:
            print(f"warm-up step {step} of {warm_up.steps}, loss {loss.item():.3f}", flush=True)
    return model, tokenizer


def demonstration(rng: random.Random, right: float, well_formed: float) -> tuple[Problem, str]:
    problem = make_problem(rng)
    result = problem.result
    if rng.random() > right:
        result = max(0, result + rng.choice([-3, -2, -1, 1, 2, 3]))
    completion = problem.completion(result)
    if rng.random() > well_formed:
        completion = completion.replace(rng.choice(["<think>\n", "\n</think>", "<answer>\n", "\n</answer>"]), "")
    return problem, completion


def make_batch(tokenizer: Any, demonstrations: list[tuple[Problem, str]]) -> dict[str, torch.Tensor]:
    """Rows padded on the right; the loss sees the completion only."""
    rows, starts = [], []
    for problem, completion in demonstrations:
        messages = [{"role": "user", "content": problem.text}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt = tokenizer(text)["input_ids"]
        rows.append(prompt + tokenizer(completion)["input_ids"] + [tokenizer.eos_token_id])
        starts.append(len(prompt))
    width = max(map(len, rows))
    input_ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows])
    labels = torch.full_like(input_ids, NOT_LEARNT)
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        labels[i, start : len(row)] = input_ids[i, start : len(row)]
    return {"input_ids": input_ids, "attention_mask": (input_ids != tokenizer.pad_token_id).long(), "labels": labels}
