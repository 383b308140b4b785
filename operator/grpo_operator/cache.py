"""What the API server last told of every run and its children, by watch or in answer to a write of ours.

Answers count at once, so that a look never acts on what was true before its own writes. Of an object that was told of
twice the newer version counts. Nothing here asks the API server or decides anything.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, NamedTuple

from grpo_contract.labels import RUN_LABEL
from grpo_operator.account import Account, account_of
from grpo_operator.reconcile.observed import ObservedChild, Ref, observe
from grpo_operator.resources import GRPORUN

Manifest = Mapping[str, Any]
Key = tuple[str, str]
"""Namespace and name of a run."""

Place = tuple[str, str, str]
"""Kind, namespace and name of any object."""

REMEMBERED_DELETIONS: Final = 1000

_RUN_METADATA: Final = ("name", "namespace", "uid", "generation", "deletionTimestamp")


class _Known(NamedTuple):
    key: Key
    uid: str
    version: int


@dataclass
class _Entry:
    run: str | None = None
    """As JSON, which takes a third of the memory that the objects take."""
    account: Account = field(default_factory=Account)
    children: dict[Ref, ObservedChild] = field(default_factory=dict)


class Cache:
    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._known: dict[Place, _Known] = {}
        # By uid, the version of what is gone: an answer may come after the news of a deletion. What is newer has come
        # back, since to lose the label of its run is told as a deletion too.
        self._deleted: OrderedDict[str, int] = OrderedDict()
        self._unconfirmed: dict[Place, tuple[int, float]] = {}  # version and time of writes that no watch has told of

    def run(self, key: Key) -> Manifest | None:
        entry = self._entries.get(key)
        if entry is None or entry.run is None:
            return None
        run: dict[str, Any] = json.loads(entry.run)
        run["metadata"]["resourceVersion"] = str(self._known[(GRPORUN.kind, *key)].version)
        return run

    def children(self, key: Key) -> tuple[ObservedChild, ...]:
        entry = self._entries.get(key)
        return tuple(entry.children.values()) if entry else ()

    def accounts(self) -> Iterator[tuple[Key, Account]]:
        """Of all runs."""
        return ((key, entry.account) for key, entry in self._entries.items() if entry.run)

    def uids(self, kind: str) -> dict[str, tuple[Place, Key]]:
        return {known.uid: (place, known.key) for place, known in self._known.items() if place[0] == kind}

    @property
    def oldest_unconfirmed_s(self) -> float:
        """Since when a watch owes us the news of a write: grows without bound when a watch has died."""
        times = [since for _, since in self._unconfirmed.values()]
        return monotonic() - min(times) if times else 0.0

    def put_reported(self, kind: str, manifest: Manifest) -> bool:
        """A watch tells of an object. True when that is news."""
        place, version = _place(kind, manifest), _version(manifest)
        awaited = self._unconfirmed.get(place)
        if awaited and version >= awaited[0]:
            del self._unconfirmed[place]
        return self._put(place, version, manifest)

    def put_written(self, kind: str, manifest: Manifest) -> None:
        """The API server's answer to a write of ours."""
        place, version = _place(kind, manifest), _version(manifest)
        known, uid = self._known.get(place), manifest["metadata"]["uid"]
        is_ahead_of_watch = version > self._deleted.get(uid, 0) and (known is None or known.version < version)
        self._put(place, version, manifest)
        if is_ahead_of_watch:
            self._unconfirmed[place] = version, monotonic()

    def drop_reported(self, kind: str, manifest: Manifest) -> None:
        """A watch tells that the object is gone; the version is that of its deletion."""
        self.drop(_place(kind, manifest), manifest["metadata"]["uid"], _version(manifest))

    def drop(self, place: Place, uid: str, version: int | None = None) -> None:
        """The object is gone; one of the same name that came after it is not. `version` None: what it had last."""
        known = self._known.get(place)
        is_known = known is not None and known.uid == uid
        self._deleted[uid] = max(self._deleted.get(uid, 0), version or (known.version if known and is_known else 0))
        self._deleted.move_to_end(uid)
        if len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        if known and is_known:
            self._remove(place, known.key)

    def _put(self, place: Place, version: int, manifest: Manifest) -> bool:
        kind, namespace, name = place
        uid = manifest["metadata"]["uid"]
        known = self._known.get(place)
        if version <= self._deleted.get(uid, 0) or (known and version < known.version):
            return False
        key = (namespace, name if kind == GRPORUN.kind else manifest["metadata"]["labels"][RUN_LABEL])
        if known and known.key != key:
            self._remove(place, known.key)
        self._known[place] = _Known(key, uid, version)
        entry = self._entries.setdefault(key, _Entry())
        if kind == GRPORUN.kind:
            old_run, entry.run = entry.run, json.dumps(_reduced(manifest))
            entry.account = account_of(manifest)
            return old_run != entry.run
        child = observe(kind, manifest)
        old_child = entry.children.get(child.ref)
        entry.children[child.ref] = child
        return old_child != child

    def _remove(self, place: Place, key: Key) -> None:
        kind, _, name = place
        del self._known[place]
        self._unconfirmed.pop(place, None)
        entry = self._entries[key]
        if kind == GRPORUN.kind:
            entry.run = None
        else:
            del entry.children[kind, name]
        if entry.run is None and not entry.children:
            del self._entries[key]


def _place(kind: str, manifest: Manifest) -> Place:
    return kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _version(manifest: Manifest) -> int:
    """Versions of one kind are ordered (since Kubernetes 1.35 by promise, before in fact)."""
    return int(manifest["metadata"]["resourceVersion"])


def _reduced(run: Manifest) -> Manifest:
    metadata = run["metadata"]
    return {
        "metadata": {name: metadata[name] for name in _RUN_METADATA if name in metadata},
        "spec": run["spec"],
        "status": run.get("status", {}),
    }
