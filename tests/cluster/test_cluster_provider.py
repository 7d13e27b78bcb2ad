"""The applying provider does as Pulumi's own: applies strictly, replaces what cannot change, keeps what failed."""

import pulumi
import pulumi_kubernetes as k8s
import pytest
from api_server import ApiError

from slipway.problems import SlipwayError

pytestmark = pytest.mark.cluster

SPACE = "provider"
# Kubernetes puts it into every namespace.
ROOT_CA = "kube-root-ca.crt"


def objects(api, kind: str) -> list:
    return api.items(f"/api/v1/namespaces/{SPACE}/{kind}")


def changes(graph) -> dict[str, str]:
    return {found.name: found.change for found in graph.resources if found.custom and ":providers:" not in found.type}


def test_a_changed_label_is_applied_and_changed_data_makes_a_new_object(session, api):
    given = {"label": "one", "data": "one"}

    def program() -> None:
        space = k8s.core.v1.Namespace("space", metadata={"name": SPACE, "labels": {"test": given["label"]}})
        k8s.core.v1.ConfigMap(
            "files", metadata={"namespace": space.metadata["name"]}, immutable=True, data={"key": given["data"]}
        )

    stack = session(program)
    assert changes(stack.up()) == {"space": "create", "files": "create"}
    (first,) = [one["metadata"]["name"] for one in objects(api, "configmaps") if one["metadata"]["name"] != ROOT_CA]

    given["label"] = "two"
    assert changes(stack.up())["space"] == "update"
    assert api.find(f"/api/v1/namespaces/{SPACE}")["metadata"]["labels"]["test"] == "two"

    given["data"] = "two"
    stack.up()
    (second,) = [one for one in objects(api, "configmaps") if one["metadata"]["name"] != ROOT_CA]
    assert second["metadata"]["name"] != first
    assert second["data"] == {"key": "two"}
    assert set(changes(stack.preview()).values()) == {"same"}


def test_an_unknown_field_of_a_custom_resource_ends_the_up(session):
    """The plan has no schema for it, so only the API server can know."""

    def program() -> None:
        k8s.apiextensions.CustomResource(
            "rules",
            api_version="monitoring.coreos.com/v1",
            kind="PrometheusRule",
            metadata={"name": "rules", "namespace": "default"},
            spec={"gruops": []},
        )

    stack = session(program)
    assert len(stack.preview().unvalidated) == 1
    with pytest.raises(SlipwayError):
        stack.up()
    assert ".spec.gruops: field not declared in schema" in "".join(stack.transcript)


def test_what_did_not_become_ready_belongs_to_the_stack_and_is_destroyed_with_it(session, api):
    def program() -> None:
        space = k8s.core.v1.Namespace("space", metadata={"name": SPACE})
        k8s.core.v1.Service(
            "nobody",
            metadata={"name": "nobody", "namespace": space.metadata["name"]},
            spec={"selector": {"app": "nobody"}, "ports": [{"port": 80}]},
        )

    stack = session(program)
    with pytest.raises(SlipwayError):
        stack.up()
    assert "Service provider/nobody: after 3 s: no pod behind it is ready" in "".join(stack.transcript)
    assert [one["metadata"]["name"] for one in objects(api, "services")] == ["nobody"]
    gone = changes(stack.destroy())
    assert gone == {"space": "delete", "nobody": "delete"}
    assert api.find(f"/api/v1/namespaces/{SPACE}") is None


def test_secrets_stay_secret_in_the_state(session):
    def program() -> None:
        k8s.core.v1.Secret(
            "token",
            metadata={"name": "token", "namespace": "default"},
            string_data={"key": pulumi.Output.secret("planted-marker")},
        )

    stack = session(program)
    stack.up()
    state = stack.state()
    assert "planted-marker" not in state
    assert "cGxhbnRlZC1tYXJrZXI=" not in state  # the same in base64, as the API server gives it back


def test_a_kind_the_server_does_not_know_is_an_error(api):
    with pytest.raises(ApiError, match=r'no matches for kind "Widget" in version "example\.com/v1"'):
        api.create({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}})
