"""`python -m trainer.asking_hub data|stream|model ...`: load these from the hub that HF_ENDPOINT names, and print each failure
as a line of JSON.

A process of its own: both libraries read HF_ENDPOINT when they are imported.
"""

import json
import sys
from tempfile import TemporaryDirectory

from huggingface_hub.utils import _http

from grpo_contract.failure import RunFailure, UserError
from grpo_trainer.inputs.data import load_source
from grpo_trainer.inputs.tokenizer import load_tokenizer
from grpo_trainer.recipe import parse_recipe
from grpo_trainer.sources import Source


def ask_for(what: str) -> None:
    if what in {"data", "stream"}:
        load_source(Source("org/data", is_streamed=what == "stream"), "prompt")
        return
    with TemporaryDirectory() as folder:
        load_tokenizer(
            parse_recipe({"model_name_or_path": "org/model"}, {"output_dir": folder, "use_cpu": True, "bf16": False})
        )


if __name__ == "__main__":
    # Seconds between five tries of each request.
    _http.time.sleep = lambda _: None
    for what in sys.argv[1:]:
        try:
            ask_for(what)
        except RunFailure as error:
            print(json.dumps(error.failure.model_dump() | {"is_mistake": isinstance(error, UserError)}))
