"""`python -m grpo_trainer [CONFIG]`: what a learner pod runs."""

import sys

from grpo_trainer.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
