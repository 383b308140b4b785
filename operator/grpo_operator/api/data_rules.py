"""Rules about the data sets that a recipe names, in CEL. Data only."""

from typing import Final

from grpo_contract.paths import FILE_FORMATS, ONLY_SPLIT, RELATIVE
from grpo_operator.api.cel import Path, Rule, present, value_of

RECIPE: Final[Path] = ("spec", "recipe")
MIXTURE: Final[Path] = (*RECIPE, "dataset_mixture")

_ONE: Final = f"{present('dataset_name')} && self.dataset_name.size() > 0"
_SEVERAL: Final = present("dataset_mixture")
_SPLIT: Final = value_of("dataset_train_split", "'train'")
_LISTS: Final = present("columns", "d")
_PROMPTS: Final = value_of("dataset_prompt_column", "'prompt'")
_WITHOUT_PROMPTS: Final = f"self.dataset_mixture.datasets.filter(d, {_LISTS} && !({_PROMPTS} in d.columns))"
_FIRST_LISTS: Final = present("columns", "first")
# As Open-R1 compares: as sets. `exists` ends with the first entry that lists columns, unless there is something to refuse.
_SAME: Final = "d.columns.all(c, c in first.columns) && first.columns.all(c, c in d.columns)"

_TEST_SPLIT: Final = value_of("dataset_test_split", "'test'")
_SUFFIXES: Final = "|".join(suffix.removeprefix(".") for suffix in FILE_FORMATS)
_NO: Final = "'no'"


def _is_file(name: str) -> str:
    """Whether it is one file, which has one split."""
    return f"{name}.matches('^[/.].*[.]({_SUFFIXES})$')"


_ONE_FILE: Final = f"({_ONE} && {_is_file('self.dataset_name')})"


def eval_strategy(of: str = "self") -> str:
    """Under its name of 2024 as well, which is translated once the run is accepted."""
    return value_of("eval_strategy", value_of("evaluation_strategy", _NO, of), of)


def evaluates(of: str = "self") -> str:
    strategy = f"{eval_strategy(of)} != {_NO}"
    return f"({strategy} || {value_of('eval_on_start', 'false', of)} || {value_of('do_eval', 'false', of)})"


_ASKED_BY: Final = (
    f"{{{eval_strategy()} != 'no' ? 'eval_strategy' : "
    f"{value_of('eval_on_start', 'false')} ? 'eval_on_start' : 'do_eval'}}"
)


def place_rule(at: Path, key: str, remedy: str) -> Rule:
    """`key` names a model or a data set, where it is there."""
    return Rule(
        at,
        f"!{present(key)} || !self.{key}.matches('{RELATIVE}')",
        f"{'.'.join((*at, key)).replace('.[]', '[]')} is '{{self.{key}}}', a relative path, which leads nowhere in a pod; {remedy}.",
        f".{key}",
    )


_DATA_AS_IN: Final = (
    "set it to a path below /volume, the run's volume, or to a data set of the hub, as in open-r1/OpenR1-Math-220k"
)

DATA_RULES: Final = (
    place_rule(RECIPE, "dataset_name", _DATA_AS_IN),
    Rule(
        RECIPE,
        f"({_ONE}) || {_SEVERAL}",
        "spec.recipe.dataset_name is missing or empty; set it to a data set of the hub, as in "
        "open-r1/OpenR1-Math-220k, or to a path below /volume, or list several in dataset_mixture.",
    ),
    Rule(
        RECIPE,
        f"!({_ONE}) || !{_SEVERAL}",
        "spec.recipe.dataset_name is '{self.dataset_name}' and spec.recipe.dataset_mixture is set, but either says "
        "what to train on; keep one of them.",
        ".dataset_mixture",
    ),
    # The rows of a mixture are counted and shuffled as a whole.
    Rule(
        RECIPE,
        f"!{_SEVERAL} || !{value_of('dataset_streaming', 'false')}",
        "spec.recipe.dataset_streaming is true, but a mixture cannot be streamed; leave it out, or train on the one "
        "data set of dataset_name.",
        ".dataset_streaming",
    ),
    Rule(
        RECIPE,
        f"!{_SEVERAL} || {_SPLIT} == 'train' || "
        f"({_SPLIT} == 'test' && {present('test_split_size', 'self.dataset_mixture')})",
        f"spec.recipe.dataset_train_split is '{{{_SPLIT}}}', but a mixture has the splits train and, with "
        "test_split_size, test; leave it out and set split of each entry.",
        ".dataset_train_split",
    ),
    Rule(
        RECIPE,
        f"!{_ONE_FILE} || {_SPLIT} == '{ONLY_SPLIT}'",
        f"spec.recipe.dataset_train_split is '{{{_SPLIT}}}', but spec.recipe.dataset_name is '{{self.dataset_name}}', a file, "
        f"whose only split is {ONLY_SPLIT}; leave it out.",
        ".dataset_train_split",
    ),
    Rule(
        RECIPE,
        f"!{evaluates()} || !{_ONE_FILE} || {_TEST_SPLIT} == '{ONLY_SPLIT}'",
        f"spec.recipe.{_ASKED_BY} asks for an evaluation, but spec.recipe.dataset_name is '{{self.dataset_name}}', a file, "
        f"whose only split is {ONLY_SPLIT}, and not '{{{_TEST_SPLIT}}}' (dataset_test_split); list it in dataset_mixture instead, "
        "with test_split_size, or name a folder that save_to_disk has written with both.",
        ".dataset_name",
    ),
    Rule(
        RECIPE,
        f"!{evaluates()} || !{_SEVERAL} || {present('test_split_size', 'self.dataset_mixture')}",
        f"spec.recipe.{_ASKED_BY} asks for an evaluation, but spec.recipe.dataset_mixture keeps no rows out of training; "
        f"set test_split_size in it, or leave {_ASKED_BY} out.",
        ".dataset_mixture",
    ),
    Rule(
        RECIPE,
        f"!{evaluates()} || !{_SEVERAL} || {_TEST_SPLIT} in ['train', 'test']",
        f"spec.recipe.dataset_test_split is '{{{_TEST_SPLIT}}}', but a mixture has the splits train and, with "
        "test_split_size, test; leave it out.",
        ".dataset_test_split",
    ),
    Rule(
        RECIPE,
        f"!{_SEVERAL} || {_WITHOUT_PROMPTS}.size() == 0",
        f"spec.recipe.dataset_prompt_column is '{{{_PROMPTS}}}', which columns of '{{{_WITHOUT_PROMPTS}[0].id}}' in "
        "spec.recipe.dataset_mixture.datasets leaves out; add it there.",
        ".dataset_mixture",
    ),
)

MIXTURE_RULES: Final = (
    place_rule((*MIXTURE, "datasets", "[]"), "id", _DATA_AS_IN),
    Rule(
        (*MIXTURE, "datasets", "[]"),
        f"!has(self.split) || self.split == '{ONLY_SPLIT}' || !{_is_file('self.id')}",
        "spec.recipe.dataset_mixture.datasets holds '{self.id}' with split '{self.split}', but a file has the only split "
        f"{ONLY_SPLIT}; leave split out.",
        ".split",
    ),
    Rule(
        MIXTURE,
        f"self.datasets.all(d, !{_LISTS}) || "
        f"self.datasets.exists(first, {_FIRST_LISTS} && self.datasets.all(d, !{_LISTS} || ({_SAME})))",
        # To name the columns exceeds the API server's cost limit.
        "spec.recipe.dataset_mixture.datasets list different columns, but their rows make one data set; list the same "
        "columns in each entry that lists any.",
        ".datasets",
    ),
    Rule(
        MIXTURE,
        f"!{present('test_split_size')} || self.test_split_size < 1.0 || "
        "self.test_split_size == double(int(self.test_split_size))",
        "spec.recipe.dataset_mixture.test_split_size is {self.test_split_size}, which is neither a share below 1 nor a "
        "number of rows; correct it.",
        ".test_split_size",
    ),
)
