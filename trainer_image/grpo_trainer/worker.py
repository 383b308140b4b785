"""One process of torchrun: a rank of the run, from its configuration to its exit code.

The HTTP port opens before anything heavy is imported, so that whoever asks sees a learner that is loading.
"""

import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason, RunFailure, UserError
from grpo_contract.metrics import StartupPart
from grpo_contract.pod import attempt, read_config, report_failure, report_success
from grpo_contract.progress import Stage
from grpo_trainer.causes import first_line
from grpo_trainer.end_request import EXIT_CODE, AskedToEnd
from grpo_trainer.fleet.errors import GeneratorsLost
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.instruments.startup import StartupClock, launched_at, now
from grpo_trainer.packages import leave_out_unused
from grpo_trainer.reports.exporter import Exporter, new_registry

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    set_up_logging()
    try:
        learn(read_config(Path(arguments[0])))
    except AskedToEnd as error:
        fail(error.failure, EXIT_CODE)
    except (RunFailure, GeneratorsLost) as error:
        fail(error.failure, USER_ERROR_EXIT_CODE if isinstance(error, UserError) else 1)
    except Exception as error:
        log.exception("the learner failed")
        fail(Failure(reason=PodReason.LEARNER_ERROR, message=f"{type(error).__name__}: {first_line(error)}"), 1)


def learn(config: RunConfig) -> None:
    is_first = os.environ["RANK"] == "0"
    registry = new_registry()
    startup = StartupClock(launched_at())
    startup.end(StartupPart.LAUNCH, now())
    board = ProgressBoard(attempt(), startup)
    exporter = Exporter(registry, board if is_first else None) if os.environ["LOCAL_RANK"] == "0" else None
    metrics = LearnerMetrics(registry if is_first else None)

    leave_out_unused(config.recipe)
    from grpo_trainer.device import process_group
    from grpo_trainer.training import train

    startup.end(StartupPart.IMPORTS, now())
    with process_group(config.learners.device, config.deadlines.collective_s) as ranks:
        startup.end(StartupPart.RANKS, now())
        model_folder = train(config, metrics, board)
        board.update(stage=Stage.FINISHED, model=str(model_folder))
        if is_first:
            report_success(board.read())
            log.info("finished: the trained model is in %s", model_folder)
            if exporter:
                exporter.wait_for_last_scrape()
        # Their launchers end together, and a pod whose ranks are gone before would be unready for that long.
        ranks.wait_for_everyone()


def fail(failure: Failure, code: int) -> NoReturn:
    """At once: threads and collectives that wait for other processes must not keep a failed one alive."""
    log.error("%s: %s", failure.reason, failure.message)
    report_failure(failure)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
