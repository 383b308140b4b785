"""What `kubectl grpo completions` prints, and the pod that shows completions when learners are gone."""

from typing import Any

import pytest

from grpo_cli.live.completions import LEFT_OUT, MOST_LETTERS, MOST_LINES, group_lines
from grpo_cli.live.viewer import build_viewer
from grpo_operator.desired.learners import build_learner_job
from grpo_operator.desired.pods import pod_security
from unit.desired_inputs import make_run, make_settings

RUN: dict[str, Any] = {
    "metadata": {"name": "math", "namespace": "lab", "uid": "u-1"},
    "spec": {"storage": {"size": "10Gi"}},
}


def row(member: int, **changes: Any) -> dict[str, Any]:
    usual = {
        "step": 70,
        "group": 3,
        "member": member,
        "prompt": "What is 2+2?\nThink.",
        "completion": "It is 4.",
        "prompt_tokens": 9,
        "tokens": 5,
        "is_truncated": False,
        "weight_version": 69,
        "reward": 1.5,
        "advantage": 0.70703125,
        "rewards": {"accuracy": 1.0, "format": 0.5},
    }
    return usual | changes


def test_a_group_with_all_that_is_known_of_it() -> None:
    none = {"accuracy": None, "format": None}
    rows = [
        row(0),
        row(1, completion="I do\n\nnot know", is_truncated=True, reward=None, advantage=0.0, rewards=none),
    ]
    assert "\n".join(group_lines(rows, whole=False)) == (
        "step 70, group 3: mean reward 1.5 of 2 completions, prompt of 9 tokens\n"
        "  | What is 2+2?\n"
        "  | Think.\n"
        "\n"
        "  0: reward 1.5  accuracy 1  format 0.5  advantage 0.707  5 tokens  weights 69\n"
        "    It is 4.\n"
        "\n"
        "  1: reward -  accuracy -  format -  advantage 0  5 tokens, cut off  weights 69\n"
        "    I do\n"
        "\n"
        "    not know"
    )


def test_one_function_is_the_reward() -> None:
    assert "accuracy" not in "\n".join(group_lines([row(0, rewards={"accuracy": 1.0})], whole=False))


@pytest.mark.parametrize("text", ["x" * (MOST_LETTERS + 1), "\n".join("abcdefghij"[:MOST_LINES] + "k")])
def test_long_texts_are_cut_unless_they_are_wanted_whole(text: str) -> None:
    rows = [row(0, completion=text)]
    assert next(reversed(list(group_lines(rows, whole=False)))).endswith(LEFT_OUT)
    assert LEFT_OUT not in "\n".join(group_lines(rows, whole=True))


def test_nothing_of_a_model_steers_the_terminal() -> None:
    rows = [row(0, completion="a\x1b]52;c;ZXZpbA==\x07b\r\nc\n\n")]
    assert list(group_lines(rows, whole=True))[-1] == "    a ]52;c;ZXZpbA== b\n    c\n"


class TestViewer:
    def test_it_reads_what_learners_read(self) -> None:
        run = make_run(learners={"image": "mine:1"}, storage={"claimName": "shared"})
        metadata = run.metadata.model_dump() | {"uid": run.metadata.uid}
        viewer = build_viewer(
            {"metadata": metadata, "spec": {"storage": {"claimName": "shared"}}},
            build_learner_job(run, make_settings(), 1),
            None,
        )
        (container,) = viewer["spec"]["containers"]
        assert container["image"] == "mine:1"
        mounts = {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        assert mounts == {"config": True, "token": True, "volume": True, "scratch": False}
        volumes = {volume["name"]: volume for volume in viewer["spec"]["volumes"]}
        assert volumes["volume"]["persistentVolumeClaim"] == {"claimName": "shared", "readOnly": True}
        assert volumes["token"]["secret"]["secretName"] == "math-token"

    def test_it_goes_where_learners_go_and_asks_for_no_gpu(self) -> None:
        run = make_run(
            learners={
                "gpus": 8,
                "nodeSelector": {"gpu": "h200"},
                "tolerations": [{"operator": "Exists"}],
                "podTemplate": {"spec": {"imagePullSecrets": [{"name": "pull"}], "securityContext": {"fsGroup": 5}}},
            }
        )
        spec = build_viewer(RUN, build_learner_job(run, make_settings(), 1), None)["spec"]
        assert "nvidia.com/gpu" not in str(spec)
        assert spec["nodeSelector"] == {"gpu": "h200"}
        assert spec["tolerations"] == [{"operator": "Exists"}]
        assert spec["imagePullSecrets"] == [{"name": "pull"}]
        assert spec["securityContext"] == pod_security() | {"fsGroup": 5}

    def test_it_goes_with_the_run_and_is_none_of_its_pods(self) -> None:
        metadata = build_viewer(RUN, None, "an-image")["metadata"]
        assert metadata["ownerReferences"] == [
            {"apiVersion": "grpo.dev/v1alpha1", "kind": "GRPORun", "name": "math", "uid": "u-1"}
        ]
        assert metadata["labels"] == {"grpo.dev/page-of": "math"}
        assert metadata["generateName"] == "math-page-"

    def test_without_learners_somebody_has_to_name_an_image(self) -> None:
        with pytest.raises(ValueError, match=r"grporun/math has no learners, .* name the image with --image"):
            build_viewer(RUN, None, None)
        (container,) = build_viewer(RUN, None, "an-image")["spec"]["containers"]
        assert container["image"] == "an-image"
