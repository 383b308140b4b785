"""How long a pod has from when it is asked to end (SIGTERM) until it is killed, unless a pod template says otherwise."""

from typing import Final

LEARNER_GRACE_PERIOD_S: Final = 120
"""For the rest of a step and a checkpoint of a model of a few billion parameters; as long as the longest notice that clouds
give of a spot node's end. When a node is lost, this is waited for in vain."""

GENERATOR_GRACE_PERIOD_S: Final = 120
"""For the rest of the completions that it is writing. What it does not finish is written anew by others."""
