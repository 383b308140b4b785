"""What the API says about recipes without importing anything, against the real classes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from trl import GRPOConfig
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError

from codegen.recipe_additions import SAID_FIRST
from grpo_contract.recipe.defaults import with_defaults
from grpo_contract.recipe.old_keys import OLD_KEYS, translate
from grpo_trainer.recipe import CLASSES, defaults
from harness.layout import ROOT

SCHEMA = ROOT / "operator/grpo_operator/api/recipe_schema.json"
PROPERTIES: dict[str, dict[str, Any]] = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
TODAYS = PROPERTIES.keys() - {key for key, old in OLD_KEYS.items() if old.becomes != key}
FIELDS = {field.name: field for cls in CLASSES for field in dataclasses.fields(cls)}

BATCH_KEYS = {"num_generations", "generation_batch_size", "steps_per_generation", "auto_find_batch_size"}
API_CASES: list[dict[str, Any]] = yaml.safe_load(ROOT.joinpath("tests/api/rules.yaml").read_text())
BATCH_CASES = [case for case in API_CASES if BATCH_KEYS & {case["field"].removeprefix("spec.recipe.")}]
INTERVAL_CASES = [case for case in API_CASES if "above 1 it is a number of steps" in case["sentence"]]
SAVING_CASES = [case for case in API_CASES if "no multiple of spec.recipe.eval_steps" in case["sentence"]]
OF_ADAMW: dict[str, Any] = {
    "adam_beta1": 0.9,
    "adam_beta2": 0.9,
    "adam_epsilon": 0,
    "learning_rate": 0,
    "weight_decay": 0,
}
"""What torch takes of each."""


def test_the_keys_are_the_fields() -> None:
    assert FIELDS.keys() - {"parallelism_config"} == TODAYS


@pytest.mark.parametrize("key", sorted(TODAYS - OLD_KEYS.keys()))
def test_text_and_default_are_the_fields(key: str) -> None:
    help_text = " ".join(FIELDS[key].metadata["help"].replace("%%", "%").split())
    assert PROPERTIES[key]["description"].removeprefix(f"{SAID_FIRST.get(key, '')} ").startswith(help_text)
    default = getattr(FIELDS[key].default, "value", FIELDS[key].default)
    if default is dataclasses.MISSING or default is None or key == "optim":  # optim's depends on torch's version
        assert "default" not in PROPERTIES[key]
    else:
        assert PROPERTIES[key]["default"] == default


@pytest.mark.parametrize("case", BATCH_CASES, ids=lambda case: case["sentence"][:60])
def test_the_batch_arithmetic_of_the_api_is_trls(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the API server refuses TRL refuses as well, and the neighbour that it lets pass TRL takes."""
    monkeypatch.setattr(GRPOConfig, "world_size", world_size(case["refused"]["spec"]))
    with pytest.raises(ValueError, match=r"generation|auto_find_batch_size"):
        config_of(case["refused"]["spec"], tmp_path)
    monkeypatch.setattr(GRPOConfig, "world_size", world_size(case["accepted"]["spec"]))
    config_of(case["accepted"]["spec"], tmp_path)


@pytest.mark.parametrize("case", INTERVAL_CASES, ids=lambda case: str(case["refused"]["spec"]["recipe"]))
def test_steps_that_the_api_refuses_transformers_refuses(case: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be an integer if bigger than 1"):
        config_of(case["refused"]["spec"], tmp_path)
    config_of(case["accepted"]["spec"], tmp_path)


@pytest.mark.parametrize("case", SAVING_CASES, ids=lambda case: str(case["refused"]["spec"]["recipe"]))
def test_saving_that_the_api_refuses_transformers_refuses(case: dict[str, Any], tmp_path: Path) -> None:
    def parse(which: str) -> None:
        recipe = defaults(case[which]["spec"]["recipe"]) | case[which]["spec"]["recipe"]
        config_of({"recipe": recipe}, tmp_path)

    with pytest.raises(ValueError, match="multiple of the evaluation steps"):
        parse("refused")
    parse("accepted")


def adamw(adam_beta1: float, adam_beta2: float, adam_epsilon: float, learning_rate: float, weight_decay: float) -> None:
    parameter = torch.zeros(1, requires_grad=True)
    betas = (adam_beta1, adam_beta2)
    torch.optim.AdamW([parameter], learning_rate, betas, adam_epsilon, weight_decay)


@pytest.mark.parametrize("key", OF_ADAMW)
def test_bounds_of_the_optimizer_are_torchs(key: str) -> None:
    entry = PROPERTIES[key]
    adamw(**OF_ADAMW | {key: float(entry["minimum"])})
    beyond = [entry["minimum"] - 1e-9, *([entry["maximum"]] if entry.get("exclusiveMaximum") else [])]
    assert len(beyond) == (2 if "beta" in key else 1)
    for value in beyond:
        with pytest.raises(ValueError, match="Invalid"):
            adamw(**OF_ADAMW | {key: value})


@pytest.mark.parametrize("key", ["log_level", "log_level_replica"])
def test_levels_of_the_log_are_transformers_own(key: str) -> None:
    assert PROPERTIES[key]["enum"] == list(FIELDS[key].metadata["choices"])


def test_the_least_top_k_is_vllms() -> None:
    least = PROPERTIES["top_k"]["minimum"]
    for taken in (least, least + 1, least + 2):
        SamplingParams(top_k=taken)
    with pytest.raises(VLLMValidationError, match="top_k"):
        SamplingParams(top_k=least - 1)


def world_size(spec: dict[str, Any]) -> int:
    learners = {"replicas": 1, "gpus": 1} | spec.get("learners", {})
    return int(learners["replicas"] * (learners.get("processes") or max(1, learners["gpus"])))


def config_of(spec: dict[str, Any], folder: Path) -> GRPOConfig:
    recipe, _ = with_defaults(translate(spec["recipe"])[0], spec.get("recipeDefaults", "current"))
    for key in ("max_prompt_length", "reward_funcs"):  # the learner's
        recipe.pop(key, None)
    return GRPOConfig(output_dir=str(folder), **recipe | {"bf16": False, "use_cpu": True})
