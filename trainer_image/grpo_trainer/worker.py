"""One process of a learner pod: a rank of the run, from its configuration to its exit code.

The HTTP port opens before anything heavy is imported, so that whoever asks sees a learner that is loading.
"""

import faulthandler
import logging
import os
import sys
from pathlib import Path

from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason, RunFailure, UserError
from grpo_contract.metrics import StartupPart
from grpo_contract.pod import attempt, read_config, report_success
from grpo_contract.progress import Stage
from grpo_trainer.causes import first_line, is_time_out_of_collective
from grpo_trainer.end_request import EXIT_CODE, AskedToEnd
from grpo_trainer.failing import fail
from grpo_trainer.fleet.errors import GeneratorsLost
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.instruments.startup import StartupClock, launched_at, now
from grpo_trainer.packages import leave_out_unused
from grpo_trainer.reports.exporter import Exporter, new_registry
from grpo_trainer.watchdog import Watchdog

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    set_up_logging()
    faulthandler.enable()  # NCCL's own time-out aborts the process
    try:
        learn(read_config(Path(arguments[0])))
    except AskedToEnd as error:
        fail(error.failure, EXIT_CODE)
    except (RunFailure, GeneratorsLost) as error:
        fail(error.failure, USER_ERROR_EXIT_CODE if isinstance(error, UserError) else 1)
    except Exception as error:
        log.exception("the learner failed")
        has_timed_out = is_time_out_of_collective(error)
        if has_timed_out:
            faulthandler.dump_traceback(all_threads=True)
        reason = PodReason.COLLECTIVE_TIMEOUT if has_timed_out else PodReason.LEARNER_ERROR
        fail(Failure(reason=reason, message=f"{type(error).__name__}: {first_line(error)}"), 1)


def learn(config: RunConfig) -> None:
    is_first = os.environ["RANK"] == "0"
    registry = new_registry()
    startup = StartupClock(launched_at())
    startup.end(StartupPart.LAUNCH, now())
    board = ProgressBoard(attempt(), startup)
    exporter = Exporter(registry, board if is_first else None) if os.environ["LOCAL_RANK"] == "0" else None
    metrics = LearnerMetrics(registry if is_first else None)

    importing = Watchdog(config.deadlines)
    leave_out_unused(config.recipe)
    from grpo_trainer.device import collectives_begun, process_group
    from grpo_trainer.training import train

    startup.end(StartupPart.IMPORTS, now())
    importing.close()
    Watchdog(config.deadlines, collectives_begun)
    with process_group(config.learners.device, config.deadlines) as ranks:
        startup.end(StartupPart.RANKS, now())
        model_folder = train(config, metrics, board)
        board.update(stage=Stage.FINISHED, model=str(model_folder))
        with MAIN_THREAD.within(Step.END):
            if is_first:
                report_success(board.read())
                log.info("finished: the trained model is in %s", model_folder)
                if exporter:
                    exporter.wait_for_last_scrape()
            # Their launchers end together, and a pod whose ranks are gone before would be unready for that long.
            ranks.wait_for_everyone()


if __name__ == "__main__":
    main(sys.argv[1:])
