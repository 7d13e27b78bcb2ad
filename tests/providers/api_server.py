"""A client of the Kubernetes API, as far as tests need one: JSON in, JSON out, strict about fields."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

Object = dict[str, Any]
REQUEST_SECONDS = 30


class ApiError(Exception):
    """The API server refused; `status` is HTTP's, the text is the server's own message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """One API server, as cluster administrator. Safe to share between threads."""

    def __init__(self, server: str, token: str, ca_file: str) -> None:
        self.server = server
        self._token = token
        self._pool = urllib3.PoolManager(ca_certs=ca_file, retries=False, timeout=REQUEST_SECONDS, maxsize=16)
        self._kinds: dict[str, dict[str, Object]] = {}
        self._guard = threading.Lock()

    def request(
        self, method: str, path: str, body: Object | None = None, *, kind: str = "application/json", **query: str
    ) -> Object:
        """One call. Raises ApiError for every answer that is not a success."""
        url = f"{self.server}{path}{f'?{urlencode(query)}' if query else ''}"
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind, "Accept": "application/json"}
        answer = self._pool.request(method, url, headers=headers, body=None if body is None else json.dumps(body))
        try:
            content: Object = answer.json()
        except ValueError:
            content = {"message": answer.data.decode(errors="replace")}
        if answer.status >= 400:
            raise ApiError(answer.status, str(content.get("message")))
        return content

    def find(self, path: str) -> Object | None:
        """The object at a path; None when there is none."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        """The objects of a list."""
        return self.request("GET", path, **query)["items"]

    def kind(self, api_version: str, kind: str) -> Object:
        """What discovery says of a kind. Raises ApiError 404 for one the server does not know, as kubectl does."""
        with self._guard:
            if kind not in self._kinds.get(api_version, {}):
                path = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
                listed = (self.find(path) or {"resources": []})["resources"]
                self._kinds[api_version] = {one["kind"]: one for one in listed if "/" not in one["name"]}
            found = self._kinds[api_version].get(kind)
        if found is None:
            raise ApiError(404, f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def path(self, given: Mapping[str, Any], *, collection: bool = False) -> str:
        """Where an object lies, or the collection it is created in."""
        api_version, metadata = given["apiVersion"], given["metadata"]
        found = self.kind(api_version, given["kind"])
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        if found["namespaced"]:
            root += f"/namespaces/{metadata.get('namespace') or 'default'}"
        return f"{root}/{found['name']}" + ("" if collection else f"/{metadata['name']}")

    def create(self, given: Object, **query: str) -> Object:
        """Make an object; unknown and duplicate fields are errors."""
        return self.request("POST", self.path(given, collection=True), given, fieldValidation="Strict", **query)

    def apply(self, given: Object, manager: str = "tests", **query: str) -> Object:
        """Make or change an object by server-side apply; unknown and duplicate fields are errors."""
        return self.request(
            "PATCH",
            self.path(given),
            given,
            kind="application/apply-patch+yaml",
            fieldManager=manager,
            fieldValidation="Strict",
            **query,
        )

    def merge(self, path: str, patch: Object) -> Object:
        """Change some fields of an object."""
        return self.request("PATCH", path, patch, kind="application/merge-patch+json")

    def delete(self, path: str, *, propagation: str = "Background") -> bool:
        """Ask for an object's deletion; False when there was none."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        try:
            self.request("DELETE", path, options)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def evict(self, pod: Object) -> bool:
        """Ask for a pod's eviction, as a drain does; False when a PodDisruptionBudget refuses it for now."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        try:
            self.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)
        except ApiError as error:
            if error.status == 429:
                return False
            raise
        return True

    def listable(self) -> Iterator[tuple[str, str, bool]]:
        """Every kind that can be listed: its name, the collection's path up to it, whether it is in namespaces."""
        groups = [
            f"/apis/{group['preferredVersion']['groupVersion']}" for group in self.request("GET", "/apis")["groups"]
        ]
        for root in ("/api/v1", *groups):
            for found in self.request("GET", root)["resources"]:
                if "list" in found["verbs"] and "/" not in found["name"]:
                    yield found["name"], root, found["namespaced"]


def wait_for(what: str, condition: Callable[[], Any], seconds: float, *, every: float = 0.1) -> Any:
    """The first truthy answer of `condition`. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(every)
    return answer


def condition_of(given: Mapping[str, Any], kind: str) -> Object:
    """A status condition by its type; empty when there is none."""
    conditions = given.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind), {})
