"""The Secret with the token that the pods of a run show each other.

Made once. When it was deleted there is a new one, and running pods read it as soon as their kubelet has it, which it never
would of an immutable Secret: for a minute or two some take others for lost.
"""

from grpo_contract.files import TOKEN_FILE
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, build_metadata


def build_token_secret(run: GRPORun, token: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": build_metadata(run, names.token_secret(run.metadata.name)),
        "type": "Opaque",
        "stringData": {TOKEN_FILE.name: token},
    }
