"""The API server, as far as the cluster's own two daemons need it: JSON over one kept connection, as admin."""

import http.client
import json
import ssl
from urllib.parse import urlsplit

from cluster.layout import API_URL, PKI, Manifest

TIMEOUT_S = 30


class ApiError(Exception):
    """The server answered, and refused."""


class AlreadyExistsError(ApiError):
    """An object of that name is there already."""


class ApiServer:
    def __init__(self, user_agent: str) -> None:
        context = ssl.create_default_context(cafile=PKI / "ca.crt")
        context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        address = urlsplit(API_URL).netloc
        self._connection = http.client.HTTPSConnection(address, context=context, timeout=TIMEOUT_S)
        self._headers = {"User-Agent": user_agent, "Content-Type": "application/json"}

    def list(self, path: str) -> list[Manifest]:
        items: list[Manifest] = self._request("GET", f"{path}?resourceVersion=0")["items"]  # from the server's cache
        return items

    def create(self, path: str, manifest: Manifest) -> None:
        self._request("POST", path, manifest)

    def delete(self, path: str) -> None:
        self._request("DELETE", path)

    def _request(self, method: str, path: str, body: Manifest | None = None) -> Manifest:
        try:
            self._connection.request(method, path, json.dumps(body) if body else None, self._headers)
            answer = self._connection.getresponse()
            content: Manifest = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()  # half a conversation: the next request opens a new connection
            raise
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            kind = AlreadyExistsError if answer.status == http.HTTPStatus.CONFLICT else ApiError
            raise kind(f"{method} {path}: {answer.status}: {content.get('message', '')}")
        return content
