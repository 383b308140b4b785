"""The parts of Kubernetes' own pod API that a GRPORun repeats, as structural schemas.

Typed where it is cheap, so that a misspelt field is refused at apply; what is long is passed on and judged when the
pods are created.
"""

from typing import Annotated, Any, Final

from pydantic import WithJsonSchema

Object = dict[str, Any]

# As Kubernetes' own tools generate it.
QUANTITY: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

POSITIVE_QUANTITY: Final = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0\.[0-9]*[1-9][0-9]*)([KMGTPE]i|[kMGTPE])?$"

_STRING: Final[Object] = {"type": "string"}
_ANY_OBJECT: Final[Object] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_STRINGS_BY_NAME: Final[Object] = {"type": "object", "additionalProperties": _STRING}
_QUANTITIES_BY_NAME: Final[Object] = {
    "type": "object",
    "additionalProperties": {
        "x-kubernetes-int-or-string": True,
        "pattern": QUANTITY,
    },
}

Resources = Annotated[
    Object,
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "requests": _QUANTITIES_BY_NAME | {"description": "What the container is sure to get."},
                "limits": _QUANTITIES_BY_NAME | {"description": "What the container may use at most."},
                "claims": {
                    "type": "array",
                    "description": "Claims for devices, defined in podTemplate.spec.resourceClaims.",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": _STRING, "request": _STRING},
                    },
                },
            },
        }
    ),
]

EnvironmentVariables = Annotated[
    list[Object],
    WithJsonSchema(
        {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": _STRING | {"minLength": 1, "description": "Name of the variable."},
                    "value": _STRING | {"description": "Its value."},
                    "valueFrom": _ANY_OBJECT
                    | {"description": "Where its value comes from: a Secret, a ConfigMap, a field."},
                },
            },
        }
    ),
]

Tolerations = Annotated[
    list[Object],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": _STRING | {"description": "Key of the taint; absent: every key."},
                    "operator": _STRING | {"description": "How key and value are compared; Equal when absent."},
                    "value": _STRING | {"description": "Value of the taint."},
                    "effect": _STRING
                    | {
                        "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                        "description": "Effect of the taint; absent: every effect.",
                    },
                    "tolerationSeconds": {
                        "type": "integer",
                        "description": "Seconds until eviction when the effect is NoExecute; absent: never.",
                    },
                },
            },
        }
    ),
]

Affinity = Annotated[
    Object,
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "nodeAffinity": _ANY_OBJECT | {"description": "As in a pod."},
                "podAffinity": _ANY_OBJECT | {"description": "As in a pod."},
                "podAntiAffinity": _ANY_OBJECT | {"description": "As in a pod."},
            },
        }
    ),
]

PodTemplate = Annotated[
    Object,
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "metadata": {
                    "type": "object",
                    "properties": {
                        "labels": _STRINGS_BY_NAME | {"description": "Labels to add."},
                        "annotations": _STRINGS_BY_NAME | {"description": "Annotations to add."},
                    },
                },
                "spec": _ANY_OBJECT
                | {"description": "Parts of a pod's spec. Containers, volumes and the like are merged by name."},
            },
        }
    ),
]
