"""How long a learner pod has from when it is asked to end (SIGTERM) until it is killed."""

from typing import Final

LEARNER_GRACE_PERIOD_S: Final = 120
"""Unless a pod template says otherwise. For the rest of a step and a checkpoint of a model of a few billion parameters; as
long as the longest notice that clouds give of a spot node's end. When a node is lost, this is waited for in vain."""
