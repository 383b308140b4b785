"""`python -m perf.hosted_learner CONFIG HOSTS`: a learner's launcher for which /etc/hosts is another file.

A run's generators are all addresses of one name. In a pod's own mount namespace (learner_pod.py) nobody else sees the file.
"""

import os
import subprocess
import sys


def main() -> None:
    config, hosts = sys.argv[1:]
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    os.execv(sys.executable, [sys.executable, "-m", "grpo_trainer", config])


if __name__ == "__main__":
    main()
