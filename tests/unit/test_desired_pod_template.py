"""The merge of partial pod templates, rule by rule."""

import copy
from typing import Any

import pytest

from grpo_operator.desired.pod_template import merged

CLAIM = {"name": "volume", "persistentVolumeClaim": {"claimName": "c"}}
SHM = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
POD_IP = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def containers(*entries: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(entries)}}


CASES = {
    "nothing": ({"a": 1}, {}, {"a": 1}),
    "a new key": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "a value replaces": ({"a": 1}, {"a": 2}, {"a": 2}),
    "maps merge deep": ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}}, {"a": {"b": {"c": 1, "d": 2}}}),
    "null removes": ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
    "null of nothing": ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    "a map replaces a value": ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    "a value replaces a map": ({"a": {"b": 2}}, {"a": 1}, {"a": 1}),
    "other lists are replaced": (
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "b"}]},
        {"tolerations": [{"key": "b"}]},
    ),
    "a container by name": (
        containers({"name": "learner", "image": "i", "args": ["x"]}),
        containers({"name": "learner", "args": ["y"]}),
        containers({"name": "learner", "image": "i", "args": ["y"]}),
    ),
    "a sidecar is added": (
        containers({"name": "learner"}),
        containers({"name": "proxy"}),
        containers({"name": "learner"}, {"name": "proxy"}),
    ),
    "init containers where there were none": (
        {},
        {"initContainers": [{"name": "copy"}]},
        {"initContainers": [{"name": "copy"}]},
    ),
    "extra resources": (
        containers({"name": "learner", "resources": {"limits": {"nvidia.com/gpu": 8}}}),
        containers({"name": "learner", "resources": {"limits": {"rdma/hca": 1}}}),
        containers({"name": "learner", "resources": {"limits": {"nvidia.com/gpu": 8, "rdma/hca": 1}}}),
    ),
    "a volume's source in part": (
        {"volumes": [CLAIM, SHM]},
        {"volumes": [{"name": "shm", "emptyDir": {"sizeLimit": "9Gi"}}]},
        {"volumes": [CLAIM, {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "9Gi"}}]},
    ),
    "a volume's source of another kind": (
        {"volumes": [CLAIM, SHM]},
        {"volumes": [{"name": "volume", "nfs": {"server": "s", "path": "/"}}]},
        {"volumes": [{"name": "volume", "nfs": {"server": "s", "path": "/"}}, SHM]},
    ),
    "a mount by its path": (
        {"volumeMounts": [{"name": "volume", "mountPath": "/volume"}]},
        {"volumeMounts": [{"name": "volume", "mountPath": "/data"}, {"mountPath": "/volume", "subPath": "me"}]},
        {
            "volumeMounts": [
                {"name": "volume", "mountPath": "/volume", "subPath": "me"},
                {"name": "volume", "mountPath": "/data"},
            ]
        },
    ),
    "a port by its number": (
        {"ports": [{"name": "http", "containerPort": 9400}]},
        {"ports": [{"containerPort": 9400, "hostPort": 1}, {"containerPort": 7}]},
        {"ports": [{"name": "http", "containerPort": 9400, "hostPort": 1}, {"containerPort": 7}]},
    ),
    "a variable's value": (
        {"env": [{"name": "A", "value": "1"}, POD_IP]},
        {"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]},
        {"env": [{"name": "A", "value": "2"}, POD_IP, {"name": "B", "value": "3"}]},
    ),
    "a value instead of a reference": (
        {"env": [POD_IP]},
        {"env": [{"name": "IP", "value": "10.0.0.1"}]},
        {"env": [{"name": "IP", "value": "10.0.0.1"}]},
    ),
    "a reference of another kind": (
        {"env": [POD_IP]},
        {"env": [{"name": "IP", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        {"env": [{"name": "IP", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
    ),
    "twice the same variable": (
        {"env": []},
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        {"env": [{"name": "A", "value": "2"}]},
    ),
    "an entry without its key": (
        {"containers": [{"name": "learner"}]},
        {"containers": [{"image": "i"}, "nonsense"]},
        {"containers": [{"name": "learner"}, {"image": "i"}, "nonsense"]},
    ),
    "not even a list": ({"containers": [{"name": "learner"}]}, {"containers": "nonsense"}, {"containers": "nonsense"}),
}


@pytest.mark.parametrize(("template", "partial", "expected"), CASES.values(), ids=CASES.keys())
def test_merge(template: Any, partial: Any, expected: Any) -> None:
    before = copy.deepcopy((template, partial))
    assert merged(template, partial) == expected
    assert (template, partial) == before, "the merge is pure"
