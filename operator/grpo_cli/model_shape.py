"""What a model's config.json tells of its size. Decoders of Llama's kind, with every expert alike: dense ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from grpo_cli.documents import UnreadableError

UNITS: Final = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
MOST_PARAMETERS: Final = 10**15
NEEDED: Final = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
EXPERTS: Final = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class ModelShape:
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    has_tied_embeddings: bool
    longest: int | None
    """Tokens of prompt and completion that the model was made for."""

    @property
    def parameters(self) -> int:
        """Of the weight matrices. Biases and norms are left out: they are less than a thousandth."""
        return self.in_layers + self.vocabulary * self.hidden * (1 if self.has_tied_embeddings else 2)

    @property
    def in_layers(self) -> int:
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        feed_forward = 3 * self.hidden * self.intermediate
        return self.layers * (attention + feed_forward)


def read_shape(name: str, config: Mapping[str, Any]) -> ModelShape:
    """
    Raises:
        UnreadableError: it is of a model of another kind.
    """
    unusable = [key for key in NEEDED if not isinstance(config.get(key), int) or config[key] < 1]
    experts = next((key for key in EXPERTS if config.get(key)), None)
    if unusable or experts:
        why = f"has {experts}" if experts else _unusable(unusable[0], config)
        raise UnreadableError(f"{name} {why}, and only dense decoders are counted; give --parameters instead.")
    heads = config["num_attention_heads"]
    return ModelShape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        has_tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        longest=config.get("max_position_embeddings"),
    )


def _unusable(key: str, config: Mapping[str, Any]) -> str:
    return f"has {key} {config[key]}" if key in config else f"has no {key}"


def parse_parameters(text: str) -> int:
    """`1.5B`, `500M` or a plain number.

    Raises:
        ValueError: it is written otherwise.
    """
    factor = UNITS.get(text[-1:].upper(), 1)
    try:
        number = int(Decimal(text[:-1] if factor > 1 else text) * factor)
    except (InvalidOperation, OverflowError) as problem:
        raise ValueError(text) from problem
    if not 1 <= number <= MOST_PARAMETERS:
        raise ValueError(text)
    return number
