"""`python -m trainer.loading_from_hub`: load tokenizer, rows and model from the hub that HF_ENDPOINT names, as a learner does.

A process of its own: both libraries read HF_ENDPOINT when they are imported.
"""

from tempfile import TemporaryDirectory

from huggingface_hub.utils import _http
from transformers import AutoModelForCausalLM

from grpo_trainer.inputs.data import declared_columns, load_source
from grpo_trainer.inputs.hub_silence import loading_model
from grpo_trainer.inputs.tokenizer import load_tokenizer
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.recipe import parse_recipe
from grpo_trainer.sources import Source

MODEL, DATA = "org/tiny", "org/problems"


def main() -> None:
    set_up_logging()
    with TemporaryDirectory() as folder:
        keys = {"output_dir": folder, "use_cpu": True, "bf16": False}
        load_tokenizer(parse_recipe({"model_name_or_path": MODEL}, keys))
    declared_columns(Source(DATA), "problem")
    assert load_source(Source(DATA), "problem").rows[0]["problem"]
    with loading_model(MODEL, None):
        AutoModelForCausalLM.from_pretrained(MODEL)


if __name__ == "__main__":
    # Seconds between the tries of each request.
    _http.time.sleep = lambda _: None
    main()
