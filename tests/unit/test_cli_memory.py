"""The memory estimate, in bytes worked out by hand from the formulas of docs/cli.md."""

from typing import Any

import pytest

from grpo_cli.check import Known
from grpo_cli.documents import UnreadableError
from grpo_cli.finding import Level
from grpo_cli.memory import Gpu, Memory, Model, estimate, in_words
from grpo_cli.model_shape import ModelShape, parse_parameters, read_shape
from unit.cli_inputs import plan_of, report_of, run_of, said

# Qwen2.5-1.5B-Instruct's config.json, as far as it is read.
QWEN: dict[str, Any] = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_attention_heads": 12,
    "num_hidden_layers": 28,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
}
SHAPE = read_shape("config.json", QWEN)
MODEL = Model(SHAPE.parameters, SHAPE)
# Of a token: two norms of 4 + 2 + 2 bytes, queries and outputs of 12 heads, keys and values of 2, four of 8960.
LAYER = 2 * 8 * 1536 + 2 * 2 * (12 + 2) * 128 + 4 * 2 * 8960
EIGHT = {"replicas": 1, "gpus": 8}
OPEN_R1: dict[str, Any] = {
    "num_generations": 16,
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 4,
    "max_completion_length": 1024,
}


def memory_of(recipe: dict[str, Any], model: Model = MODEL, gpu: Gpu | None = None, **spec: Any) -> Memory:
    memory = estimate(plan_of(recipe, **spec), model, gpu or Gpu())
    assert memory is not None
    return memory


def test_parameters_are_those_of_the_matrices() -> None:
    # Per layer: q and o 1536 x 1536, k and v 1536 x 256, three of 1536 x 8960. Embeddings 151936 x 1536, tied.
    assert SHAPE.parameters == 28 * (2 * 1536 * 1536 + 2 * 1536 * 256 + 3 * 1536 * 8960) + 151936 * 1536
    assert SHAPE.parameters == 1_543_569_408
    assert 1 - SHAPE.parameters / 1_543_714_304 < 0.001  # what the model's safetensors hold


def test_a_learner_of_eight() -> None:
    share = 1_543_569_408 // 8
    assert memory_of(OPEN_R1, learners=EIGHT).learner_bytes == {
        "parameters": 2 * share,
        "gradients": 2 * share,
        "optimizer": 12 * share,
        "gathered parameters": 2 * 10**9,
        # 16 x 1536 tokens: in bf16 an input of 1536 for each of 28 layers, and all of one layer.
        "activations": 16 * 1536 * (2 * 28 * 1536 + LAYER),
        # A tile of 4096 x 32768 in bf16, and in float32 the gradients of the head and of 16 x 1024 tokens.
        "logits": 2 * 4096 * 32768 + 4 * 1536 * (151936 + 16 * 1024),
    }


ALL_LINEAR = 2 * (1536 + 1536) + 2 * (1536 + 256) + 3 * (1536 + 8960)


@pytest.mark.parametrize(
    ("targets", "sides"),
    [
        (None, (1536 + 1536) + (1536 + 256)),
        (["q_proj", "down_proj"], (1536 + 1536) + (8960 + 1536)),
        ("all-linear", ALL_LINEAR),
        (".*mlp.*", ALL_LINEAR),
    ],
)
def test_an_adapter_has_gradients_and_optimizer_alone_and_no_reference_model(targets: Any, sides: int) -> None:
    lora = {"use_peft": True, "lora_r": 16, "lora_target_modules": targets, "beta": 0.04}
    parts = memory_of(OPEN_R1 | lora, learners=EIGHT).learner_bytes
    trained = 16 * 28 * sides // 8
    assert parts["parameters"] == 2 * 1_543_569_408 // 8
    assert (parts["adapter"], parts["gradients"], parts["optimizer"]) == (2 * trained, 2 * trained, 12 * trained)
    assert "reference model" not in parts


@pytest.mark.parametrize(("nested", "scale"), [(False, 1 / 16), (True, 1 / 64 + 1 / 4096)])
def test_a_base_in_4_bit(nested: bool, scale: float) -> None:
    """Its embeddings, tied to the head, stay in bf16. Scales are whole on each GPU."""
    qlora = {"use_peft": True, "load_in_4bit": True, "use_bnb_nested_quant": nested, "beta": 0.04}
    parts = memory_of(OPEN_R1 | qlora, learners=EIGHT).learner_bytes
    embeddings = 151936 * 1536
    in_4_bit = 1_543_569_408 - embeddings
    assert parts["parameters"] == (in_4_bit // 2 + 2 * embeddings) // 8
    assert parts["scales of 4 bit"] == int(in_4_bit * scale)
    assert parts["gathered parameters"] == in_4_bit // 2 + 2 * embeddings
    assert "reference model" not in parts
    assert memory_of(OPEN_R1 | qlora).generator_bytes["weights"] == 2 * 1_543_569_408


def test_a_base_in_4_bit_that_no_gpu_can_load_is_told() -> None:
    qlora = {"use_peft": True, "load_in_4bit": True}
    whole = "spec.recipe.load_in_4bit: each learner's GPU holds the whole model while it is loaded, about 36.7 GiB, and has 24 GiB; "
    found = findings(Model(70 * 10**9), Gpu(memory_gib=24), OPEN_R1 | qlora, learners=EIGHT, generators={"gpus": 8})
    assert found[0] == (
        "spec.recipe.load_in_4bit",
        whole + "take larger GPUs, or more of them and no load_in_4bit.",
    )
    roomy = findings(Model(70 * 10**9), Gpu(memory_gib=48), OPEN_R1 | qlora, learners=EIGHT, generators={"gpus": 8})
    assert roomy == []


def test_a_reference_model_and_no_checkpointing() -> None:
    share = 1_543_569_408 // 8
    with_kl = memory_of(OPEN_R1 | {"beta": 0.04, "gradient_checkpointing": False}, learners=EIGHT).learner_bytes
    assert with_kl["reference model"] == 2 * share
    assert with_kl["activations"] == 16 * 1536 * 28 * LAYER


@pytest.mark.parametrize(
    ("recipe", "numbers", "optimizer"),
    [
        ({}, 2, 12),
        ({"fp16": True, "bf16": False}, 2, 12),
        ({"bf16": False}, 4, 12),
        ({"optim": "adamw_bnb_8bit"}, 2, 6),
        ({"optim": "sgd"}, 2, 4),
    ],
)
def test_bytes_of_a_number(recipe: dict[str, Any], numbers: int, optimizer: int) -> None:
    """One learner holds all, and nothing has to be gathered."""
    assert memory_of(recipe, Model(10**9)).learner_bytes == {
        "parameters": numbers * 10**9,
        "gradients": numbers * 10**9,
        "optimizer": optimizer * 10**9,
    }


def test_a_generator() -> None:
    memory = memory_of(OPEN_R1, gpu=Gpu(memory_gib=24), learners=EIGHT, generators={"replicas": 2})
    per_completion = 2 * 28 * 2 * 128 * 2 * 1536  # keys and values, layers, heads, their size, bf16, tokens
    assert memory.generator_bytes == {"weights": 2 * 1_543_569_408, "KV cache of one completion": per_completion}
    assert memory.completion_tokens == 1024 + 512
    assert memory.completions_per_generator == 16 * 16
    assert memory.completions_that_fit == int((24 * 2**30 * 0.92 - 2 * 1_543_569_408) // per_completion) == 468


def test_a_generator_of_two_gpus_with_a_share_of_the_recipes() -> None:
    recipe = OPEN_R1 | {"vllm_gpu_memory_utilization": 0.5, "vllm_max_model_length": 1200, "max_prompt_length": 100}
    memory = memory_of(recipe, gpu=Gpu(memory_gib=16), learners=EIGHT, generators={"gpus": 2})
    assert memory.completion_tokens == 1124
    per_completion = 2 * 28 * 1 * 128 * 2 * 1124
    assert memory.generator_bytes == {"weights": 1_543_569_408, "KV cache of one completion": per_completion}
    assert memory.completions_that_fit == int((8 * 2**30 - 1_543_569_408) // per_completion)


def test_completions_without_a_bound_have_the_models() -> None:
    assert memory_of({"max_completion_length": None, "vllm_max_model_length": 2048}).completion_tokens == 2048
    assert memory_of({"max_completion_length": None}).completion_tokens == 32768
    unbounded = memory_of({"max_completion_length": None}, Model(10**9))
    assert unbounded.completion_tokens is None


def test_cpu_is_not_estimated() -> None:
    assert estimate(plan_of(learners={"gpus": 0}, generators={"gpus": 0}), MODEL, Gpu()) is None


def findings(model: Model, gpu: Gpu, recipe: dict[str, Any], **spec: Any) -> list[tuple[str, str]]:
    return said(report_of(run_of(recipe, **spec), Known(model=model, gpu=gpu)))


def levels(recipe: dict[str, Any], model: Model, gib: float, **spec: Any) -> list[tuple[Level, str]]:
    report = report_of(run_of(recipe, **spec), Known(model=model, gpu=Gpu(memory_gib=gib)))
    return [(finding.level, finding.field) for finding in report.findings]


ALONE = "spec.learners: weights, gradients and optimizer states alone take about"
SMALLER = "raise gpus or replicas, over which they are split, or train a smaller model"


def test_a_gpu_that_is_too_small_is_told() -> None:
    """What no batch makes smaller is certain to fail; what depends on the batch is an estimate."""
    seven = Model(7 * 10**9)
    assert findings(seven, Gpu(memory_gib=80), {}) == [
        ("spec.learners", f"{ALONE} 104.3 GiB of a GPU, which has 80 GiB; {SMALLER} or an adapter (use_peft).")
    ]
    assert levels({}, seven, 80) == [(Level.ERROR, "spec.learners")]
    assert levels({}, seven, 105) == levels({}, seven, 80, learners={"gpus": 2}) == []
    # Of two GPUs, 1.9 GiB more for parameters that are gathered at a time.
    assert findings(seven, Gpu(memory_gib=53), {}, learners={"gpus": 2}) == [
        (
            "spec.learners",
            "spec.learners: a GPU needs about 54.0 GiB and has 53 GiB; add GPUs, or lower per_device_train_batch_size and "
            "raise gradient_accumulation_steps.",
        )
    ]
    assert levels({}, seven, 53, learners={"gpus": 2}) == [(Level.NOTE, "spec.learners")]


def test_activations_alone_are_a_note() -> None:
    at_once = {"per_device_train_batch_size": 64, "max_completion_length": 4096}
    assert levels(at_once, MODEL, 40) == [(Level.NOTE, "spec.learners")]
    assert levels(at_once, MODEL, 20)[0] == (Level.ERROR, "spec.learners")


def test_of_an_optimizer_that_is_not_known_nothing_is_certain() -> None:
    seven = Model(7 * 10**9)
    assert levels({"optim": "sgd"}, seven, 80) == []
    assert levels({"optim": "rmsprop"}, seven, 80) == [(Level.NOTE, "spec.learners")]
    assert levels({"optim": "rmsprop"}, seven, 26)[0] == (Level.ERROR, "spec.learners")  # 2 + 2 bytes


def test_a_base_that_is_too_large_for_an_adapter() -> None:
    recipe = {"use_peft": True, "beta": 0.04}
    assert findings(Model(70 * 10**9), Gpu(memory_gib=80), recipe, generators={"gpus": 2})[0] == (
        "spec.learners",
        f"{ALONE} 130.4 GiB of a GPU, which has 80 GiB; {SMALLER}.",
    )


def test_weights_that_are_too_large_for_a_generator() -> None:
    seventy, learners = Model(70 * 10**9), {"replicas": 4, "gpus": 8}
    found = report_of(run_of(learners=learners), Known(model=seventy, gpu=Gpu(memory_gib=80)))
    assert said(found, Level.ERROR) == [
        (
            "spec.generators.gpus",
            "spec.generators.gpus is 1, so that the weights alone take about 130.4 GiB of a GPU, which has 80 GiB; raise it, or "
            "train a smaller model.",
        )
    ]
    assert levels({}, seventy, 80, learners=learners, generators={"gpus": 2}) == []


def test_a_generator_that_is_too_small_is_told() -> None:
    found = findings(MODEL, Gpu(memory_gib=3), OPEN_R1, learners=EIGHT)
    assert found[-1] == (
        "spec.generators.gpus",
        "spec.generators.gpus: a GPU of 3 GiB has no room for the weights and one completion of full length; raise it.",
    )


def test_heads_and_positions_of_the_model() -> None:
    recipe = OPEN_R1 | {"max_completion_length": 32768}
    report = report_of(run_of(recipe, learners=EIGHT, generators={"gpus": 5}), Known(model=MODEL))
    assert said(report, Level.ERROR) == [
        (
            "spec.generators.gpus",
            "spec.generators.gpus is 5, which does not divide the model's 12 attention heads; change it.",
        ),
        (
            "spec.recipe.max_completion_length",
            "spec.recipe.max_completion_length is 32768, which leaves no room for a prompt in the 32768 tokens of the model; "
            "lower it.",
        ),
    ]


def test_a_shape_with_heads_of_their_own_size() -> None:
    shape = read_shape(
        "config.json", QWEN | {"head_dim": 64, "tie_word_embeddings": False, "num_key_value_heads": None}
    )
    assert shape == ModelShape(28, 1536, 8960, 12, 12, 64, 151936, has_tied_embeddings=False, longest=32768)
    assert shape.parameters == 28 * (4 * 1536 * 768 + 3 * 1536 * 8960) + 2 * 151936 * 1536


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (QWEN | {"num_experts": 64}, "has num_experts"),
        ({"model_type": "mamba"}, "has no hidden_size"),
        (QWEN | {"num_attention_heads": 0}, "has num_attention_heads 0"),
        (QWEN | {"num_hidden_layers": -1}, "has num_hidden_layers -1"),
        (QWEN | {"hidden_size": "1536"}, "has hidden_size 1536"),
    ],
)
def test_other_models_are_told(config: dict[str, Any], why: str) -> None:
    sentence = f"c.json {why}, and only dense decoders are counted; give --parameters instead."
    with pytest.raises(UnreadableError) as told:
        read_shape("c.json", config)
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("text", "parameters"), [("1.5B", 1_500_000_000), ("500m", 500_000_000), ("92K", 92_000), ("123", 123)]
)
def test_parameters_as_people_write_them(text: str, parameters: int) -> None:
    assert parse_parameters(text) == parameters


@pytest.mark.parametrize("text", [" ", "B", "many", "-1B", "0"])
def test_parameters_as_nobody_writes_them(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_parameters(text)


def test_sizes_in_words() -> None:
    assert [in_words(size) for size in (44040192, 3 * 2**30, 2**30 // 2)] == ["42.0 MiB", "3.0 GiB", "0.5 GiB"]
