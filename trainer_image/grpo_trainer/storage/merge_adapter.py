"""`python -m grpo_trainer.storage.merge_adapter ADAPTER MODEL`: a whole model of an adapter and its base, for programs that load no adapters."""

import argparse
import shutil
from pathlib import Path

from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description="Merge an adapter with its base model.")
    parser.add_argument("adapter", type=Path, help="a folder with adapter_config.json, which names the base model")
    parser.add_argument("model", type=Path, help="the folder to write")
    options = parser.parse_args()
    merge(options.adapter, options.model)


def merge(adapter: Path, model: Path) -> None:
    """On CPU, in the precision that the base has. `model` is whole or absent."""
    partial = model.with_name(f".{model.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    merged = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype="auto").merge_and_unload()
    merged.save_pretrained(partial)
    AutoTokenizer.from_pretrained(adapter).save_pretrained(partial)
    shutil.rmtree(model, ignore_errors=True)  # of an earlier try
    partial.rename(model)


if __name__ == "__main__":
    main()
