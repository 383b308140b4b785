"""Every key of the recipe: values are accepted as recipes write them; other types, ranges and enums are refused.

The keys are many and independent: one manifest holds a value for each of them, and the answer is compared whole.
"""

import json
from typing import Any

import pytest

from api.client import ApiServer
from api.tables import ENTRIES, ENTRY, KEYS, RECIPES, RULED, TYPED, a_value_for, mixture, run_with
from grpo_contract.recipe.owned_keys import OWNED_KEYS
from harness.kubectl import Manifest

SEEDS = ("seed", "data_seed")


def complaints(server: ApiServer, base: Manifest, recipe: dict[str, Any]) -> dict[str, str]:
    return dict(server.try_create(run_with(base, recipe)).complaints)


def test_every_key_is_accepted_with_a_value_of_its_type(api_server: ApiServer, base_run: Manifest) -> None:
    recipe = {key: a_value_for(entry) for key, entry in KEYS.items()} | RULED
    answer = api_server.try_create(run_with(base_run, recipe))
    assert answer.accepted, answer.body
    assert answer.body["spec"]["recipe"] == recipe


def test_every_key_refuses_another_type(api_server: ApiServer, base_run: Manifest) -> None:
    wrong = {key: "text" if kind == "object" else {} for key, kind in TYPED.items()}
    said = {key: "string" if kind == "object" else "object" for key, kind in TYPED.items()}
    found = api_server.try_create(run_with(base_run, wrong)).complaints
    # An enum complains about the value as well.
    assert sorted(entry for entry in found if "supported values" not in entry[1]) == [
        (
            f"spec.recipe.{key}",
            f'Invalid value: "{said[key]}": spec.recipe.{key} in body must be of type {kind}: "{said[key]}"',
        )
        for key, kind in sorted(TYPED.items())
    ]


def test_every_enum_refuses_another_value(api_server: ApiServer, base_run: Manifest) -> None:
    enums = {key: entry["enum"] for key, entry in KEYS.items() if "enum" in entry}
    assert "loss_type" in enums
    assert complaints(api_server, base_run, dict.fromkeys(enums, "nonsense")) == {
        f"spec.recipe.{key}": f'Unsupported value: "nonsense": supported values: {quoted_list(values)}'
        for key, values in enums.items()
    }


def quoted_list(values: list[Any]) -> str:
    return ", ".join(f'"{value if isinstance(value, str) else json.dumps(value)}"' for value in values)


def test_every_range_refuses_what_is_below(api_server: ApiServer, base_run: Manifest) -> None:
    minima = {
        key: (entry["minimum"], entry.get("exclusiveMinimum", False))
        for key, entry in KEYS.items()
        if "minimum" in entry
    }
    assert {"temperature", "per_device_train_batch_size"} < minima.keys()
    below = {key: minimum if exclusive else minimum - 1 for key, (minimum, exclusive) in minima.items()}
    found = complaints(api_server, base_run, below | {"steps_per_generation": None, "callbacks": ["early_stopping"]})
    assert {key: found[f"spec.recipe.{key}"] for key in minima if key != "steps_per_generation"} == {
        key: f"Invalid value: {below[key]}: spec.recipe.{key} in body should be greater than "
        + (f"{minimum}" if exclusive else f"or equal to {minimum}")
        for key, (minimum, exclusive) in minima.items()
        if key != "steps_per_generation"
    }
    alone = complaints(api_server, base_run, {"steps_per_generation": 0})
    assert alone["spec.recipe.steps_per_generation"].endswith("should be greater than or equal to 1")


def test_every_range_refuses_what_is_above(api_server: ApiServer, base_run: Manifest) -> None:
    maxima = {
        key: (entry["maximum"], entry.get("exclusiveMaximum", False))
        for key, entry in KEYS.items()
        if "maximum" in entry and key not in SEEDS
    }
    assert {"top_p", "min_p", "adam_beta1"} < maxima.keys()
    above = {key: maximum if exclusive else maximum + 0.5 for key, (maximum, exclusive) in maxima.items()}
    assert complaints(api_server, base_run, above) == {
        f"spec.recipe.{key}": f"Invalid value: {above[key]}: spec.recipe.{key} in body should be less than "
        + (f"{maximum}" if exclusive else f"or equal to {maximum}")
        for key, (maximum, exclusive) in maxima.items()
    }


def test_seeds_are_what_numpy_takes(api_server: ApiServer, base_run: Manifest) -> None:
    found = complaints(api_server, base_run, dict.fromkeys(SEEDS, 2**32))
    assert found == {
        f"spec.recipe.{key}": f"Invalid value: 4294967296: spec.recipe.{key} in body should be less than or equal to "
        "4294967295"
        for key in SEEDS
    }
    assert complaints(api_server, base_run, dict.fromkeys(SEEDS, 2**32 - 1)) == {}


def test_lists_of_reward_functions_are_bounded(api_server: ApiServer, base_run: Manifest) -> None:
    assert complaints(api_server, base_run, {"reward_funcs": ["format"] * 65}) == {
        "spec.recipe.reward_funcs": "Too many: 65: must have at most 64 items"
    }
    assert complaints(api_server, base_run, {"reward_funcs": ["m:" + "f" * 252]}) == {
        "spec.recipe.reward_funcs[0]": "Too long: may not be more than 253 bytes"
    }
    longest = api_server.try_create(run_with(base_run, {"reward_funcs": [f"m:f{number:0250}" for number in range(64)]}))
    assert longest.accepted, longest.body


def test_a_column_needs_a_name(api_server: ApiServer, base_run: Manifest) -> None:
    assert complaints(api_server, base_run, {"dataset_prompt_column": ""}) == {
        "spec.recipe.dataset_prompt_column": 'Invalid value: "": spec.recipe.dataset_prompt_column in body should be '
        "at least 1 chars long"
    }


@pytest.mark.parametrize(("within", "beyond", "field", "complaint"), ENTRIES)
def test_entries_of_a_mixture_are_bounded(
    api_server: ApiServer,
    base_run: Manifest,
    within: dict[str, Any],
    beyond: dict[str, Any],
    field: str,
    complaint: str,
) -> None:
    entries = [{"id": "a"}, {"id": "b"}]
    assert complaints(api_server, base_run, mixture(entries[0], entries[1] | beyond)) == {f"{ENTRY}.{field}": complaint}
    answer = api_server.try_create(run_with(base_run, mixture(entries[0], entries[1] | within)))
    assert answer.accepted, answer.body


def test_a_mixture_has_1_to_32_entries_and_no_other_keys(api_server: ApiServer, base_run: Manifest) -> None:
    at = "spec.recipe.dataset_mixture"
    columns = [*(f"{number:0253}" for number in range(63)), "c"]
    longest = api_server.try_create(run_with(base_run, mixture(*[{"id": "a" * 1024, "columns": columns}] * 32)))
    assert longest.accepted, longest.body
    assert complaints(api_server, base_run, mixture(*[{"id": "a"}] * 33)) == {
        f"{at}.datasets": "Too many: 33: must have at most 32 items"
    }
    assert complaints(api_server, base_run, mixture()) == {
        f"{at}.datasets": f"Invalid value: 0: {at}.datasets in body should have at least 1 items"
    }
    assert complaints(api_server, base_run, {"dataset_name": None, "dataset_mixture": {"seed": 1}}) == {
        f"{at}.datasets": "Required value"
    }
    assert complaints(api_server, base_run, mixture({"id": "a"}, seed=-1)) == {
        f"{at}.seed": f"Invalid value: -1: {at}.seed in body should be greater than or equal to 0"
    }
    answer = api_server.try_create(run_with(base_run, mixture({"id": "a", "weigth": 0.5}, sed=1)))
    assert [f'unknown field "{at}.{key}"' in answer.body["message"] for key in ("datasets[0].weigth", "sed")] == [
        True
    ] * 2


def test_null_for_the_split_or_the_seed_of_a_mixture_is_as_good_as_absence(
    api_server: ApiServer, base_run: Manifest
) -> None:
    answer = api_server.try_create(run_with(base_run, mixture({"id": "a", "split": None}, seed=None)))
    assert answer.accepted, answer.body
    assert answer.body["spec"]["recipe"]["dataset_mixture"] == {"datasets": [{"id": "a"}]}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: ",".join(recipe))
def test_a_recipe_in_use_is_stored_as_it_is(api_server: ApiServer, base_run: Manifest, recipe: dict[str, Any]) -> None:
    run = run_with(base_run, recipe)
    answer = api_server.try_create(run)
    assert answer.accepted, answer.body
    assert answer.body["spec"]["recipe"] == run["spec"]["recipe"]


def test_no_key_has_a_default(crd: Manifest) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["recipe"]
    assert schema["properties"].keys() == KEYS.keys()
    assert [key for key, entry in schema["properties"].items() if "default" in entry] == []
    assert "x-kubernetes-preserve-unknown-fields" not in schema


def test_owned_keys_are_in_the_schema() -> None:
    assert OWNED_KEYS.keys() - KEYS.keys() == set()
