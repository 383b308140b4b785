"""The only room that talks to the API server: plain manifests in, plain manifests out. It decides nothing.

Watching is kopf's; everything here is one request with one deadline.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from os import environ
from typing import Any, Final

import aiohttp
from kubernetes.aio import client, config, dynamic
from kubernetes.aio.client.exceptions import ApiException

from grpo_operator.clock import Clock
from grpo_operator.log_lines import last_lines
from grpo_operator.resources import BY_KIND, GRPORUN, POD, Resource
from grpo_operator.yaml_text import yaml_text

Manifest = dict[str, Any]

FIELD_MANAGER: Final = "grpo-operator"
CONNECTIONS: Final = 32
"""HTTP/1.1 carries one request per connection at a time; more connections mostly cost TLS handshakes."""

DEADLINE_S: Final = 30.0
LOG_DEADLINE_S: Final = 5.0
"""The API server asks the pod's node, which may be why the pod has failed."""
LONGEST_RETRY_AFTER_S: Final = 60.0
PAGE_SIZE: Final = 100

_REFUSALS: Final = frozenset({400, 403, 409, 413, 422})
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLIED_YAML: Final = "application/apply-patch+yaml; charset=utf-8"
"""The client leaves the text of bodies of this type alone; without the parameter it writes them as JSON in ASCII."""


class ApiError(Exception):
    """The API server cannot be reached, or answered with an error. The same request may succeed later."""

    retry_after_s = 0.0
    """Not before, says the API server. No longer than a failure is waited for anyway."""


class NotFoundError(ApiError):
    pass


class OutdatedError(ApiError):
    """What was to be written was made from an older version of the object."""


class RefusedError(ApiError):
    """The API server will not do it: what was asked, or the state it met, is wrong."""

    def __init__(self, status: int, message: str, is_taken: bool = False) -> None:
        super().__init__(message)
        self.is_conflict = status == 409
        self.is_taken = is_taken
        """By somebody else, whose field it is; other conflicts pass, as with a quota that is being counted."""
        self.message = message


@asynccontextmanager
async def connect(on_answer: Callable[[str, int], None]) -> AsyncIterator["Kube"]:
    """`on_answer` is told the method and the status of every answer."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        config.load_incluster_config()  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config()  # type: ignore[no-untyped-call]
    configuration = client.Configuration.get_default_copy()
    configuration.connection_pool_maxsize = CONNECTIONS
    # Else each request asks a thread for proxies and ~/.netrc. A proxy of the kubeconfig is used all the same.
    configuration.client_session_kwargs = {"trust_env": False}
    async with client.ApiClient(configuration) as api:
        # Not awaited: that would discover the whole API, and keep it in a file of a fixed name in the shared
        # temporary folder. The paths that are needed here are known.
        yield Kube(dynamic.DynamicClient(api), on_answer)  # type: ignore[no-untyped-call]


class Kube:
    def __init__(
        self,
        cluster: Any,
        on_answer: Callable[[str, int], None],
        before_write: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self._cluster = cluster
        self._on_answer = on_answer
        self._before_write = before_write
        self._clock = clock or Clock()

    def guarded(self, before_write: Callable[[], None]) -> "Kube":
        """The same, that asks before each write; what that raises keeps the write from being sent."""
        return Kube(self._cluster, self._on_answer, before_write, self._clock)

    def now(self) -> datetime:
        """The API server's time."""
        return self._clock.now()

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._json("GET", resource.path(namespace, name))
        except NotFoundError:
            return None

    async def exists(self, resource: Resource, namespace: str | None) -> bool:
        """Whether the API server knows such objects at all."""
        try:
            await self._json("GET", resource.path(namespace), limit=1)
        except NotFoundError:
            return False
        return True

    async def create(self, manifest: Manifest) -> Manifest:
        """RefusedError.is_conflict: the name is taken."""
        resource, namespace, _ = _place(manifest)
        return await self._json("POST", resource.path(namespace), manifest, field_manager=FIELD_MANAGER)

    async def apply(self, manifest: Manifest, force: bool) -> Manifest:
        """Without `force`, fields that somebody else has set otherwise are a conflict."""
        resource, namespace, name = _place(manifest)
        return await self._apply(resource.path(namespace, name), manifest, force)

    async def apply_status(self, namespace: str, name: str, uid: str, version: str, status: Manifest) -> Manifest:
        """
        Raises:
            OutdatedError: the run is another one of the same name, or is no more of the version that the status was made from.
        """
        manifest = {
            "apiVersion": GRPORUN.api_version,
            "kind": GRPORUN.kind,
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": version},
            "status": status,
        }
        try:
            return await self._apply(GRPORUN.path(namespace, name, "status"), manifest, force=True)
        except RefusedError as refused:
            if refused.is_conflict:
                raise OutdatedError(refused.message) from refused
            raise

    async def replace(self, manifest: Manifest) -> Manifest:
        """Refused as a conflict when the object is not the one, or of the version, that the manifest says."""
        resource, namespace, name = _place(manifest)
        return await self._json("PUT", resource.path(namespace, name), manifest, field_manager=FIELD_MANAGER)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str | None = None) -> bool:
        """Together with all that it owns; False when it is gone. Nothing happens then, or when another object has its name, or it
        is no more of this version."""
        preconditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        options = {"preconditions": preconditions, "propagationPolicy": "Background"}
        try:
            await self._json("DELETE", resource.path(namespace, name), options)
        except NotFoundError:
            return False
        except RefusedError as refused:
            if not refused.is_conflict:
                raise
        return True

    async def log_tail(self, namespace: str, pod: str, container: str, lines: int) -> list[str]:
        """Empty when the log is gone, or the node that holds it does not answer soon: the failure that it is of is told without.

        A container that the kubelet started again may have said nothing yet: then it is the log of the one before.
        """
        for is_previous in (False, True):
            query = [("container", container), ("tailLines", lines), ("previous", str(is_previous).lower())]
            try:
                path = POD.path(namespace, pod, "log")
                answer = await self._request("GET", path, deadline_s=LOG_DEADLINE_S, query_params=query)
            except ApiError:
                continue
            if found := last_lines(answer, lines):
                return found
        return []

    async def objects(
        self, resource: Resource, namespace: str | None, label_selector: str | None
    ) -> AsyncIterator[Manifest]:
        """All of them. `namespace` None: of the whole cluster. They come without their kind."""
        async for page in self._pages(resource, namespace, label_selector, {}):
            for item in page:
                yield item

    async def uids(self, resource: Resource, namespace: str | None, label_selector: str | None) -> set[str]:
        """Of all of them, fetched without their content."""
        pages = self._pages(resource, namespace, label_selector, {"Accept": _METADATA_ONLY})
        return {item["metadata"]["uid"] async for page in pages for item in page}

    async def _pages(
        self, resource: Resource, namespace: str | None, label_selector: str | None, headers: Mapping[str, str]
    ) -> AsyncIterator[list[Manifest]]:
        more: str | None = None
        while more != "":
            page = await self._json(
                "GET",
                resource.path(namespace),
                label_selector=label_selector,
                limit=PAGE_SIZE,
                _continue=more,
                header_params=dict(headers),
            )
            yield page["items"] or []  # the API server writes an empty list as null when it sends metadata only
            more = page["metadata"].get("continue", "")

    async def _apply(self, path: str, manifest: Manifest, force: bool) -> Manifest:
        return await self._json(
            "PATCH",
            path,
            yaml_text(manifest),
            content_type=_APPLIED_YAML,
            field_manager=FIELD_MANAGER,
            force_conflicts="true" if force else "false",
        )

    async def _json(self, method: str, path: str, body: Manifest | bytes | None = None, **parameters: Any) -> Manifest:
        answer: Manifest = json.loads(await self._request(method, path, body, **parameters))
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        body: Manifest | bytes | None = None,
        deadline_s: float = DEADLINE_S,
        **parameters: Any,
    ) -> bytes:
        if method != "GET":
            self._before_write()
        asked_at = self.now()
        try:
            response = await self._cluster.request(
                method, path, body=body, serialize=False, _request_timeout=deadline_s, **parameters
            )
            content: bytes = await response.read()
        except ApiException as error:
            self._on_answer(method, error.status or 0)
            raise _typed(error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            self._on_answer(method, 0)
            raise ApiError(f"{method} {path}: {type(error).__name__} {error}".rstrip()) from error
        self._on_answer(method, response.status)
        if method != "GET":  # which a proxy may have kept; the lease is renewed every few seconds
            self._clock.answered(response.headers.get("Date"), asked_at)
        return content


def _place(manifest: Mapping[str, Any]) -> tuple[Resource, str, str]:
    metadata = manifest["metadata"]
    return BY_KIND[manifest["kind"]], metadata["namespace"], metadata["name"]


def _typed(error: ApiException) -> ApiError:
    told = _told(error)
    message = str(told.get("message", f"{error.status} {error.reason}"))
    if error.status == 404:
        return NotFoundError(message)
    if error.status in _REFUSALS:
        return RefusedError(error.status, message, is_taken=_names_another_manager(told))
    failed = ApiError(f"{error.status}: {message}")
    failed.retry_after_s = _retry_after_s(error)
    return failed


def _told(error: ApiException) -> Mapping[str, Any]:
    """The API server's own words; proxies in front of it answer with anything."""
    try:
        told = json.loads(error.body or "")
    except (TypeError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _names_another_manager(told: Mapping[str, Any]) -> bool:
    causes = (told.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "FieldManagerConflict" for cause in causes)


def _retry_after_s(error: ApiException) -> float:
    """Dates, which the header may hold as well, are none of the API server's."""
    text = (error.headers or {}).get("Retry-After", "")
    return min(float(text), LONGEST_RETRY_AFTER_S) if text.isdecimal() else 0.0
