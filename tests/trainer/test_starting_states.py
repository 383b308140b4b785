"""What a run that starts from another training's checkpoint takes from it, and what it does not."""

from transformers import EarlyStoppingCallback, PrinterCallback, TrainerControl, TrainerState

from grpo_trainer.evaluating.early_stopping import EarlyStopping
from grpo_trainer.evaluating.ended_early import ended_early
from grpo_trainer.storage.starting_states import forget_comparisons


def test_the_best_evaluation_and_the_early_end_of_another_training_are_its_own() -> None:
    old = EarlyStopping(early_stopping_patience=1)
    old.early_stopping_patience_counter, old.ended_early = 3, "eval_reward did not rise above its best"
    state = TrainerState(global_step=20, best_metric=0.9, best_global_step=10, best_model_checkpoint="/elsewhere")
    state.stateful_callbacks = {"EarlyStopping": old.state(), "Other": {"attributes": {}}}
    forget_comparisons(state, [PrinterCallback(), EarlyStopping(early_stopping_patience=2), TrainerControl()])
    assert state.global_step == 20
    assert (state.best_metric, state.best_global_step, state.best_model_checkpoint) == (None, None, None)
    assert state.stateful_callbacks == {
        "EarlyStopping": EarlyStopping(early_stopping_patience=2).state(),
        "TrainerControl": TrainerControl().state(),
    }
    assert ended_early(state.stateful_callbacks) is None


def test_a_checkpoint_that_knows_no_early_end_gets_the_runs_own_count() -> None:
    """As TRL's own, which a run with early stopping may start from."""
    state = TrainerState(global_step=20)
    state.stateful_callbacks = {"EarlyStoppingCallback": EarlyStoppingCallback(5).state()}
    forget_comparisons(state, [EarlyStopping()])
    assert state.stateful_callbacks == {"EarlyStopping": EarlyStopping().state()}
