"""`python -m grpo_demo.evaluate FOLDER MODEL`: what the run made of the base model, by transformers alone.

FOLDER is what grpo_demo.prepare made, MODEL the trained model's folder. Both models answer the held-out problems,
sampled at temperature 1 as in training, from a fixed seed; the training's own `accuracy` reward grades them. The last
line printed is JSON: base_accuracy, trained_accuracy, questions, and curve, TRL's log of each step.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from grpo_trainer.rewards.accuracy import accuracy_reward

BATCH: Final = 100
NEW_TOKENS: Final = 48
SEED: Final = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the trained model with the base model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in (options.folder / "held_out.jsonl").read_text().splitlines()]
    result = {
        "base_accuracy": accuracy_of(options.folder / "base", rows),
        "trained_accuracy": accuracy_of(options.model, rows),
        "questions": len(rows),
        "curve": read_curve(options.model),
    }
    print(json.dumps(result), flush=True)


def accuracy_of(model_folder: Path, rows: list[dict[str, str]]) -> float:
    """Share of rows with a right answer."""
    set_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(model_folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype="float32").eval()
    completions = list(complete(model, tokenizer, [row["problem"] for row in rows]))
    scores = accuracy_reward(completions, [row["solution"] for row in rows])
    return sum(score or 0.0 for score in scores) / len(rows)


def complete(model: Any, tokenizer: Any, problems: list[str]) -> Iterator[str]:
    for start in range(0, len(problems), BATCH):
        conversations = [[{"role": "user", "content": problem}] for problem in problems[start : start + BATCH]]
        inputs = tokenizer.apply_chat_template(
            conversations, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            output = model.generate(
                **inputs, max_new_tokens=NEW_TOKENS, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
            )
        yield from tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def read_curve(model_folder: Path) -> list[dict[str, Any]]:
    """The steps' entries; the last entry of the log is a summary of the whole."""
    history = json.loads((model_folder / TRAINER_STATE_NAME).read_text())["log_history"]
    return [entry for entry in history if "reward" in entry]


if __name__ == "__main__":
    main()
