"""What a recipe may ask of transformers and TRL that needs a package which the learners' image does not hold.

They find out when the model is loaded or training begins, and say so with an ImportError, or with a ValueError raised
while handling one.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_trainer.causes import chain, first_line, is_of_the_system, modules_of

LIBRARIES: Final = {"transformers", "trl"}
MODEL: Final = "model_name_or_path"
KEY_OF_MODULE: Final = {
    "transformers.trainer_optimizer": "optim",
    "transformers.integrations.liger": "use_liger_kernel",
}


@contextlib.contextmanager
def packages_needed(recipe: Mapping[str, Any]) -> Iterator[None]:
    """Raises UserError instead of the libraries' error: another attempt has the same image."""
    try:
        yield
    except (ImportError, ValueError) as error:
        if not is_missing_package(error):
            raise
        raise missing(KEY_OF_MODULE.get(modules_of(error)[-1]), recipe, first_line(error)) from error


def is_missing_package(error: BaseException) -> bool:
    raised_by = modules_of(error)[-1].partition(".")[0]
    of_import = any(isinstance(cause, ImportError) for cause in chain(error))
    return raised_by in LIBRARIES and of_import and not is_of_the_system(error)


def missing(key: str | None, recipe: Mapping[str, Any], words: str) -> UserError:
    """`key` is None where that is not known: mostly it is the code of the model."""
    value = json.dumps(recipe.get(key or MODEL), ensure_ascii=False)
    subject = f"spec.recipe.{key or MODEL}: {value}" + ("" if key else ", or another key of the recipe,")
    return UserError(
        PodReason.INVALID_RECIPE,
        f"{subject} needs a package that is not in the learners' image ({words}); "
        f"choose something else, or set spec.learners.image to an image that holds it.",
    )
