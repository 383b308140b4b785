"""An adapter of a model that brings its own code along, merged for programs that load no adapters."""

import json
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, dynamic_module_utils

from grpo_trainer.storage import merge_adapter

OWN_CODE = """
from transformers import Qwen2Config, Qwen2ForCausalLM

class OwnConfig(Qwen2Config):
    model_type = "own"

class OwnModel(Qwen2ForCausalLM):
    config_class = OwnConfig
"""
AUTO_MAP = {"AutoConfig": "own_code.OwnConfig", "AutoModelForCausalLM": "own_code.OwnModel"}


@pytest.fixture
def base(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "base"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    own = config | {"model_type": "own", "architectures": ["OwnModel"], "auto_map": AUTO_MAP}
    (folder / "config.json").write_text(json.dumps(own))
    (folder / "own_code.py").write_text(OWN_CODE)
    return folder


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    model: Any = AutoModelForCausalLM.from_pretrained(base, trust_remote_code=True)
    lora = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")  # as TRL's
    adapted = peft.get_peft_model(model, lora)
    adapted.save_pretrained(tmp_path / "adapter")
    for file in base.glob("tokenizer*"):
        (tmp_path / "adapter" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "adapter"


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    assert type(model).__name__ == "OwnModel"
    return dict(model.named_parameters())


def merge(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["merge_adapter", *map(str, arguments)])
    merge_adapter.main()


def test_the_merged_model_has_its_own_code(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(monkeypatch, adapter, tmp_path / "merged", "--trust-remote-code")
    before, merged = weights_of(base), weights_of(tmp_path / "merged")
    changed = {name for name in before if not torch.equal(before[name], merged[name])}
    assert changed == {f"model.layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1)}


def test_no_code_runs_unless_the_recipe_trusts_it(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="trust_remote_code"):
        merge(monkeypatch, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
