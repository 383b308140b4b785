"""Makes a PersistentVolume, a folder of this machine, for each claim that asks for one; `up` runs it as a daemon.

A test aid that asks the API server again and again, like network_policy. A claim that its class cannot serve stays
Pending with a Warning event, as with other provisioners. What is to be made is decided in volume_claims.
"""

import contextlib
import shutil
import time

from cluster.api import AlreadyExistsError, ApiServer
from cluster.layout import VOLUMES, Manifest
from cluster.polling import repeat
from cluster.volume_claims import build_refusal, build_volume, released, unserved, unsupported_modes, volume_name

POLL_S = 0.5
PERSISTENT_VOLUMES = "/api/v1/persistentvolumes"


def main() -> None:
    provisioner = Provisioner(ApiServer("grpo-volumes"))
    repeat(provisioner.provision, POLL_S)


class Provisioner:
    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._refused: set[str] = set()  # the claims whose event is written, so that it is asked for once

    def provision(self) -> None:
        """One pass. Refusals come last, for nobody's volume may wait for an event that cannot be written."""
        volumes = self._api.list(PERSISTENT_VOLUMES)
        claims = unserved(self._api.list("/api/v1/persistentvolumeclaims"), volumes)
        for claim in claims:
            if not unsupported_modes(claim):
                self._make_volume(claim)
        for volume in released(volumes):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(volume["spec"]["hostPath"]["path"])
            self._api.delete(f"{PERSISTENT_VOLUMES}/{volume['metadata']['name']}")
        for claim in claims:
            if unsupported_modes(claim) and volume_name(claim) not in self._refused:
                self._refuse(claim)

    def _make_volume(self, claim: Manifest) -> None:
        folder = VOLUMES / volume_name(claim)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # whatever user a pod runs as
        with contextlib.suppress(AlreadyExistsError):  # the list was a moment old
            self._api.create(PERSISTENT_VOLUMES, build_volume(claim, folder))

    def _refuse(self, claim: Manifest) -> None:
        events = f"/api/v1/namespaces/{claim['metadata']['namespace']}/events"
        with contextlib.suppress(AlreadyExistsError):  # written by the provisioner before this one
            self._api.create(events, build_refusal(claim, unsupported_modes(claim), time.gmtime()))
        self._refused.add(volume_name(claim))


if __name__ == "__main__":
    main()
