"""`python -m perf.gpu.sizes SIZE FOLDER` writes a model of Qwen2.5's shape with random weights and a tokenizer of bytes.

And the batches that each size is measured with.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from trainer.tiny_model import build_tokenizer

POSITIONS: Final = 4096


@dataclass(frozen=True)
class Batch:
    prompts: int
    generations: int
    tokens: int
    """Of each completion."""
    at_once: int
    """Completions of one backward pass."""

    @property
    def passes(self) -> int:
        return self.prompts * self.generations // self.at_once


@dataclass(frozen=True)
class Size:
    shape: Mapping[str, int]
    """Of Qwen2Config. Embeddings are tied, as in the models of these sizes that are published."""
    learnt: Batch
    """What a step of the learner is measured with."""
    watched: Batch
    """What the weights move by while their changes are counted: smaller, for it takes many steps."""

    @property
    def vocabulary(self) -> int:
        return self.shape["vocab_size"]

    @property
    def parameters(self) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in Qwen2ForCausalLM(self.config()).parameters())

    def config(self) -> Qwen2Config:
        special: dict[str, Any] = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
        return Qwen2Config(
            **self.shape, tie_word_embeddings=True, max_position_embeddings=POSITIONS, dtype="bfloat16", **special
        )


def shape(vocabulary: int, hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int) -> dict[str, int]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }


QWEN: Final = 151_936
LEARNT: Final = Batch(prompts=8, generations=8, tokens=512, at_once=16)
WATCHED: Final = Batch(prompts=8, generations=8, tokens=128, at_once=16)
SIZES: Final = {
    "tiny": Size(shape(259, 64, 128, 2, 2, 1), Batch(4, 4, 32, 8), Batch(2, 4, 16, 8)),
    "0.5B": Size(shape(QWEN, 896, 4864, 24, 14, 2), LEARNT, WATCHED),
    "1.5B": Size(shape(QWEN, 1536, 8960, 28, 12, 2), replace(LEARNT, at_once=8), WATCHED),
}
"""tiny is for a machine without a GPU, to see that all of it runs."""


def main() -> None:
    size, folder = SIZES[sys.argv[1]], Path(sys.argv[2])
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a GPU draws weights in no time
        model = Qwen2ForCausalLM(size.config()).to(torch.bfloat16)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


if __name__ == "__main__":
    main()
