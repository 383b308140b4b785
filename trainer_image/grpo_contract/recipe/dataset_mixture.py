"""`spec.recipe.dataset_mixture`, Open-R1's key for several data sets in one: its schema in the CRD, and how learners read it.

Absence means what it means in Open-R1 (src/open_r1/configs.py), and so does null where Open-R1 has a meaning for it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grpo_contract.failure import PodReason, UserError

KEY: Final = "dataset_mixture"

Name = Annotated[str, Field(min_length=1, max_length=253)]


def _nullable(default: Any, description: str) -> Any:
    return Field(default, description=description, json_schema_extra={"nullable": True})


class _Mapping(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MixedDataset(_Mapping):
    """One entry of a mixture."""

    id: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Id on the hub, or path below /volume, of a data set."
    )
    config: Name | None = _nullable(None, "Configuration of the data set.")
    split: Name = Field("train", description="Split of the data set; train when left out.")
    columns: Annotated[list[Name], Field(max_length=64)] | None = _nullable(
        None, "Columns to keep; all when left out. Entries that list columns list the same ones."
    )
    weight: Annotated[float, Field(gt=0, le=1)] | None = _nullable(
        1.0,
        "Share of the rows that is taken, drawn with seed; 1 when left out. null takes all rows in their own order.",
    )


class DatasetMixture(_Mapping):
    """Rows of several data sets, put together and shuffled."""

    datasets: Annotated[list[MixedDataset], Field(min_length=1, max_length=32)] = Field(
        description="The data sets, in order: 1 to 32."
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of every draw and shuffle of rows; 0 when left out.")
    test_split_size: Annotated[float, Field(gt=0)] | None = _nullable(
        None,
        "Rows that are kept out of training, as the split test for evaluation: a share below 1, or a number of rows. "
        "None when left out.",
    )


def read_mixture(recipe: Mapping[str, Any]) -> DatasetMixture | None:
    """None when the recipe has none.

    Raises:
        UserError: it is not what the CRD says.
    """
    value = recipe.get(KEY)
    if value is None:
        return None
    try:
        return DatasetMixture.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        problem = first["msg"][0].lower() + first["msg"][1:]
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.{KEY}{where}: {first['input']!r} will not do, {problem}; correct it.",
        ) from error
