"""scripted_learner.py, to which a folder with files in it is what a repository of the hub is: its rows can be streamed.

python -m trainer.ranks 2 streaming_learner.py CONFIG zero3 OUT
"""

from grpo_trainer.inputs import data
from trainer import scripted_learner

if __name__ == "__main__":
    scripted_learner.replace(data, is_path=lambda name: False)
    scripted_learner.main()
