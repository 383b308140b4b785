"""The launcher, whose workers are held_worker.py.

held_launch.py CONFIG OUT HELD {step|wait}
"""

import sys
from pathlib import Path

from grpo_trainer import launch

if __name__ == "__main__":
    launch.WORKER = (str(Path(__file__).with_name("held_worker.py")), *sys.argv[2:])  # type: ignore[misc]
    sys.exit(launch.main(sys.argv[1:2]))
