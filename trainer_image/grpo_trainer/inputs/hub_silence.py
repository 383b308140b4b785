"""Models and data sets that an earlier attempt has left on the volume, loaded without the hub when that gives no answer.

huggingface_hub asks the hub all the same, and for each file that a model may have and this one has not, or that is no part
of its cache, it tries seven times, for 23 s: a restart without the hub took four minutes. It stays online for all else: a
hub that is back may be pushed to, and what is not on the volume is worth those tries.
"""

import contextlib
import functools
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import datasets
from huggingface_hub import constants, try_to_load_from_cache

from grpo_contract.model_folder import CONFIG_NAME
from grpo_contract.paths import is_path
from grpo_trainer.causes import first_line
from grpo_trainer.inputs.unreachable_hub import trouble_now, unreachable_hub_named
from grpo_trainer.preflight import TOKENIZER_FILES, WEIGHT_FILES, matching
from grpo_trainer.sources import Source

INDEX_FILES: Final = ("*.index.json",)
"""Of weights in several files: which there are."""

log = logging.getLogger(__name__)


@contextlib.contextmanager
def loading_model(name: str, revision: str | None) -> Iterator[None]:
    """Around what loads the recipe's model, or a part of it.

    Raises:
        RunFailure: the hub gives no answer, and the volume does not hold all of it.
    """
    with (
        unreachable_hub_named("model_name_or_path", name),
        without_silent_hub(lambda: not is_path(name) and is_model_cached(name, revision)),
    ):
        yield


@contextlib.contextmanager
def without_silent_hub(is_cached: Callable[[], bool]) -> Iterator[None]:
    """Offline where the volume holds what is loaded, and the hub is silent."""
    if constants.HF_HUB_OFFLINE or not is_cached() or not is_hub_silent():
        yield
        return
    before = datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = False, before


@functools.cache
def is_hub_silent() -> bool:
    """Asked once: what is on the volume is good enough for the rest of a start."""
    trouble = trouble_now()
    if trouble is not None:
        words = "the hub at %s gives no answer (%s): what the volume holds of models and data sets is taken from there"
        log.warning(words, constants.ENDPOINT, first_line(trouble))
    return trouble is not None


def is_model_cached(name: str, revision: str | None) -> bool:
    """Tokenizer and all weights."""
    config = try_to_load_from_cache(name, CONFIG_NAME, revision=revision)
    if not isinstance(config, str):
        return False
    folder = Path(config).parent
    has_weights = all(map(is_index_cached, matching(folder, INDEX_FILES))) and matching(folder, WEIGHT_FILES)
    return bool(has_weights and matching(folder, TOKENIZER_FILES))


def is_index_cached(index: Path) -> bool:
    files = json.loads(index.read_bytes()).get("weight_map", {})
    return all((index.parent / file).exists() for file in files.values())


def is_data_cached(source: Source) -> bool:
    """As `datasets` lays out what it has prepared, of which an earlier commit will do."""
    folder = Path(datasets.config.HF_DATASETS_CACHE) / source.name.replace("/", "___")
    return not source.is_streamed and any(
        folder.glob(f"{source.config or ''}*/*/*/{datasets.config.DATASET_INFO_FILENAME}")
    )
