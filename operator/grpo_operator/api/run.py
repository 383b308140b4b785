"""A GRPORun as the operator sees it."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from grpo_contract.labels import API_GROUP
from grpo_operator.api.spec import GRPORunSpec
from grpo_operator.api.status import GRPORunStatus

VERSION: Final = "v1alpha1"
KIND: Final = "GRPORun"
PLURAL: Final = "grporuns"
API_VERSION: Final = f"{API_GROUP}/{VERSION}"


class Metadata(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    """Empty: of a run that is not stored yet."""


class GRPORun(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    metadata: Metadata
    spec: GRPORunSpec
    status: GRPORunStatus = GRPORunStatus()

    @classmethod
    def parse(cls, manifest: dict[str, Any]) -> "GRPORun":
        """The CRD has checked the manifest already; a pydantic.ValidationError here means that CRD and types differ."""
        return cls.model_validate(manifest)


def was_looked_at(manifest: Mapping[str, Any]) -> bool:
    """Whether the operator has said anything of this run yet."""
    return bool(manifest.get("status"))
