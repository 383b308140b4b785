"""YAML has the values here that kubectl sends to the API server."""

from typing import Any

import pytest
import yaml

from grpo_cli.documents import UnreadableError, read_document
from grpo_cli.kubectl_yaml import as_json, read_documents, read_leniently, write


# Read with sigs.k8s.io/yaml, kubectl's library: its resolve.go has the patterns.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-06),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-2.0e-05", -2e-05),
        ("8", 8),
        ("0x1F", 31),
        ("y", True),
        ("N", False),
        ("no", False),
        ("On", True),
        ("'no'", "no"),
        ("2026-01-01", "2026-01-01"),
        ("1.0.0", "1.0.0"),
        ("e5", "e5"),
        ("-", None),
        ("~", None),
        (".inf", float("inf")),
    ],
)
def test_a_scalar_has_kubectls_type(text: str, value: Any) -> None:
    found = read_documents(f"key: {text}" if text != "-" else "key:")[0]["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("value", ["no", "y", "1e-6", "8", "2026-01-01", "a\nb", " a", "", "a: b", "#", "é", "null"])
def test_text_stays_text(value: str) -> None:
    assert read_documents(write({"key": value})) == [{"key": value}]


def test_numbers_arrive_as_json_has_them() -> None:
    found = as_json({"a": 8.0, "b": [1.5, 1.0e21], True: {1: 2}})
    assert found == {"a": 8, "b": [1.5, 1e21], "true": {"1": 2}}
    assert type(found["a"]) is int


def test_keys_are_merged_as_kubectl_does() -> None:
    text = "base: &base {beta: 0.04, seed: 1}\nmine:\n  <<: *base\n  seed: 2\n"
    assert read_documents(text)[0]["mine"] == {"beta": 0.04, "seed": 2}


def test_a_key_that_is_there_twice_is_refused_as_kubectl_does() -> None:
    with pytest.raises(yaml.YAMLError, match="key 'beta' is there twice"):
        read_documents("beta: 0\nseed: 1\nbeta: 1\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "f.yaml is no YAML that kubectl would read (while parsing a flow node expected the node content, but found "
                 "'<stream end>' in \"<unicode string>\", line 1, column 5: a: [ ^); correct it."),
        ("[a]: 1", "f.yaml is no YAML that kubectl would read (while constructing a mapping found unhashable key in "
                   "\"<unicode string>\", line 1, column 1: [a]: 1 ^); correct it."),
        ("", "f.yaml is empty; give one recipe or one GRPORun."),
        ("a: 1\n---\nb: 2\n", "f.yaml holds 2 documents; give one recipe or one GRPORun."),
        ("[1, 2]", "f.yaml holds no keys and values; give a recipe or a GRPORun."),
        ("{kind: Pod, apiVersion: v1}",
         "f.yaml holds a Pod of v1; give a GRPORun of grpo.dev/v1alpha1, or a recipe with its keys at top level."),
    ],
)  # fmt: skip
def test_other_files_are_told(text: str, sentence: str) -> None:
    with pytest.raises(UnreadableError) as told:
        read_document("f.yaml", text)
    assert str(told.value) == sentence


def test_of_a_key_that_a_recipe_holds_twice_the_last_one_counts() -> None:
    document = read_document("f.yaml", "beta: 0\nseed: 1\ndataset_mixture: {seed: 1, seed: 2}\nbeta: 1\nbeta: 0.5\n")
    assert document.content == {"beta": 0.5, "seed": 1, "dataset_mixture": {"seed": 2}}
    assert document.doubled == ("beta", "dataset_mixture.seed")


def test_a_doubled_key_is_told_by_its_whole_path() -> None:
    text = "a: &one {b: [{c: 1}, {c: 2, d: 3, c: 4}]}\ne: *one\n1: {x: 0, 0x1: 1, x: 1, 1: 2}\n"
    document = read_document("f.yaml", text)
    assert document.doubled == ("1.x", "1.1", "a.b[1].c")
    assert read_leniently("a: &a [*a, {b: 1, b: 2}]")[1] == ("a[1].b",)


def test_a_run_that_holds_a_key_twice_is_refused_as_kubectl_does() -> None:
    text = "apiVersion: grpo.dev/v1alpha1\nkind: GRPORun\nspec: {recipe: {beta: 0, beta: 1}}\n"
    with pytest.raises(UnreadableError, match=r"no YAML that kubectl would read .*key 'beta' is there twice"):
        read_document("f.yaml", text)
