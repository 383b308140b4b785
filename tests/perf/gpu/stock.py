"""`python -m perf.gpu.stock SIZE MODEL OUT`: TRL's own GRPOTrainer under ZeRO-3 with the recipe of ours.py.

Of the product there is only DeepSpeed's configuration. The same completions come at once and inside of the process, and no
weights go anywhere: a step is what TRL and DeepSpeed take to learn from them, and their rewards.
"""

import sys
import tempfile
from pathlib import Path

from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from grpo_contract.config import Deadlines
from grpo_trainer import device
from perf.gpu import run
from perf.gpu.answers import InstantGenerators, even_share
from perf.gpu.ours import STEPS
from perf.gpu.sizes import SIZES
from perf.gpu.steps import StepTimes, step_figures
from perf.result import write
from perf.stock_config import stock_config
from trainer.parity_trl import prompts_of


def main() -> None:
    name, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    size = SIZES[name]
    batch = size.learnt
    grpo_trainer.VLLMGeneration = lambda *_, **__: InstantGenerators(batch.tokens, size.vocabulary)
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        recipe = run.run_config(model, Path(folder), batch, STEPS).recipe
        with device.process_group(run.device(), Deadlines()):
            trainer = GRPOTrainer(
                model=recipe["model_name_or_path"],
                reward_funcs=even_share,
                args=stock_config(recipe, folder, run.device(), use_vllm=True),
                train_dataset=prompts_of(recipe["dataset_name"]),
                callbacks=[times],
            )
            trainer.train()
    completion_tokens = batch.prompts * batch.generations * batch.tokens
    write(step_figures(size.parameters, times.seconds, trainer.state, completion_tokens), out)


if __name__ == "__main__":
    main()
