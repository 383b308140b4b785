"""`python -m grpo_trainer.storage.merge_adapter ADAPTER MODEL [--trust-remote-code]`: a whole model of an adapter and its base, for programs that load no adapters."""

import argparse
import shutil
from pathlib import Path

from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description="Merge an adapter with its base model.")
    parser.add_argument("adapter", type=Path, help="a folder with adapter_config.json, which names the base model")
    parser.add_argument("model", type=Path, help="the folder to write")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that the base model brings along")
    options = parser.parse_args()
    merge(options.adapter, options.model, options.trust_remote_code)


def merge(adapter: Path, model: Path, trust_remote_code: bool = False) -> None:
    """On CPU, in the precision that the base has. `model` is whole or absent, and has its own code with it."""
    partial = model.with_name(f".{model.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    adapted = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype="auto", trust_remote_code=trust_remote_code)
    adapted.merge_and_unload().save_pretrained(partial)
    AutoTokenizer.from_pretrained(adapter, trust_remote_code=trust_remote_code).save_pretrained(partial)
    shutil.rmtree(model, ignore_errors=True)  # of an earlier try
    partial.rename(model)


if __name__ == "__main__":
    main()
