"""`python -m grpo_trainer.storage.merge_adapter ADAPTER MODEL [--trust-remote-code]`: a whole model of an adapter and its base, for programs that load no adapters."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from grpo_trainer.storage.checkpoint_files import QUANTISATION


def main() -> None:
    parser = argparse.ArgumentParser(description="Merge an adapter with its base model.")
    parser.add_argument("adapter", type=Path, help="a folder with adapter_config.json, which names the base model")
    parser.add_argument("model", type=Path, help="the folder to write")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that the base model brings along")
    options = parser.parse_args()
    merge(options.adapter, options.model, options.trust_remote_code)


def merge(adapter: Path, model: Path, trust_remote_code: bool = False) -> None:
    """On CPU, in the precision that the base has, or that its training computed in if it was quantised. `model` is whole or
    absent, and has its own code with it."""
    partial = model.with_name(f".{model.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with_base(adapter, trust_remote_code).merge_and_unload().save_pretrained(partial)
    AutoTokenizer.from_pretrained(adapter, trust_remote_code=trust_remote_code).save_pretrained(partial)
    shutil.rmtree(model, ignore_errors=True)  # of an earlier try
    partial.rename(model)


def with_base(adapter: Path, trust_remote_code: bool) -> Any:
    """On the weights that it was trained on."""
    if not (adapter / QUANTISATION).exists():
        return AutoPeftModelForCausalLM.from_pretrained(adapter, dtype="auto", trust_remote_code=trust_remote_code)
    return PeftModel.from_pretrained(dequantised_base(adapter, trust_remote_code), adapter)


def dequantised_base(adapter: Path, trust_remote_code: bool) -> Any:
    said = PeftConfig.from_pretrained(adapter)
    quantisation = BitsAndBytesConfig.from_dict(json.loads((adapter / QUANTISATION).read_text()))
    quantised = AutoModelForCausalLM.from_pretrained(
        said.base_model_name_or_path,
        revision=said.revision,
        dtype=quantisation.bnb_4bit_compute_dtype,
        quantization_config=quantisation,
        device_map="cpu",
        trust_remote_code=trust_remote_code,
    )
    return quantised.dequantize()


if __name__ == "__main__":
    main()
