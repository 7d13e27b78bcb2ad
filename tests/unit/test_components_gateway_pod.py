"""The gateway on Kubernetes, down to each input the API server gets."""

from dataclasses import replace
from typing import Any

import pytest
from machine_plans import LLAMA, planned, serving_plan
from recording import Recording, record

from components.gateway import Gateway, GatewayArgs, gateway_args
from slipway import platforms
from slipway.catalog.types import Platform
from slipway.gateway import Backend, Provider
from slipway.settings.models import Exposure, GatewaySettings, NetworkSettings, Target

pytestmark = pytest.mark.unit

LB = "service.beta.kubernetes.io/aws-load-balancer-"
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/0a1b2c3d"
KEY = "key_MARKER"
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")


def arguments(**changes: Any) -> GatewayArgs:
    backend = Backend(
        server="chat",
        model="chat",
        provider=Provider.VLLM,
        base_url="http://chat.serving.svc:8000/v1",
        key_variable="ENGINE_API_KEY",
    )
    values = {
        "backends": [backend],
        "backend_namespace": "serving",
        "backend_ports": [8000, 8000],
        "api_key": KEY,
        "labels": {"app.kubernetes.io/part-of": "slipway-prod"},
    }
    return GatewayArgs(**{**values, **changes})


def run(**changes: Any) -> Recording:
    return record(lambda: Gateway("gateway", arguments(**changes)))


def internal() -> Recording:
    return run(exposure=Exposure.INTERNAL, client_cidrs=("10.64.0.0/16",))


def public() -> Recording:
    return run(
        exposure=Exposure.PUBLIC,
        client_cidrs=("203.0.113.0/24",),
        certificate_arn=CERTIFICATE,
        host="llm.example.com",
    )


def deployment(recording: Recording) -> dict[str, Any]:
    return dict(recording.only("kubernetes:apps/v1:Deployment").inputs["spec"])


def pod(recording: Recording) -> dict[str, Any]:
    return deployment(recording)["template"]["spec"]


def containers(recording: Recording) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in pod(recording)["containers"]}


def policy(recording: Recording, suffix: str) -> dict[str, Any]:
    return recording.named(f"gateway-{suffix}").inputs["spec"]


def test_the_gateway_is_these_objects_and_no_others():
    assert sorted(resource.type for resource in run().resources) == [
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:ConfigMap",
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:Secret",
        "kubernetes:core/v1:Service",
        "kubernetes:core/v1:ServiceAccount",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:policy/v1:PodDisruptionBudget",
        "random:index/randomPassword:RandomPassword",
        "slipway:index:Gateway",
        "slipway:index:ServingNamespace",
    ]
    balancers = [found.name for found in internal().of_type("kubernetes:core/v1:Service")]
    assert balancers == ["gateway-service", "gateway-balancer"]


def test_there_are_always_two_and_a_drain_takes_one():
    recording = run()
    assert deployment(recording)["replicas"] == 2
    assert deployment(recording)["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert recording.only("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]["maxUnavailable"] == 1
    keys = [constraint["topologyKey"] for constraint in pod(recording)["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_the_pod_runs_on_the_system_nodes_without_a_token():
    recording = run()
    assert pod(recording)["nodeSelector"] == {"slipway/pool": "system"}
    assert "tolerations" not in pod(recording)
    assert (pod(recording)["automountServiceAccountToken"], pod(recording)["enableServiceLinks"]) == (False, False)


def test_the_namespace_enforces_restricted_and_the_pod_keeps_it():
    recording = run()
    labels = recording.only("kubernetes:core/v1:Namespace").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    context = pod(recording)["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 65534)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(recording).values():
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_caddy_keeps_the_one_capability_its_image_does_not_start_without():
    """The program carries it as a file capability: with an empty bounding set, exec fails with EPERM."""
    kept = {name: item["securityContext"]["capabilities"] for name, item in containers(run()).items()}
    assert kept == {"server": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "router": {"drop": ["ALL"]}}


def test_each_container_is_probed_on_its_own_port_and_path():
    paths = {
        name: [item[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
        for name, item in containers(run()).items()
    }
    assert paths == {
        "server": [
            {"path": "/healthz", "port": "http"},
            {"path": "/readyz", "port": "http"},
            {"path": "/healthz", "port": "http"},
        ],
        "router": [
            {"path": "/health/liveliness", "port": "router"},
            {"path": "/health/readiness", "port": "router"},
            {"path": "/health/liveliness", "port": "router"},
        ],
    }
    ports = [port["name"] for item in containers(run()).values() for port in item["ports"]]
    assert ports == ["http", "router", "metrics"]


def test_requests_in_flight_are_finished_before_the_kill():
    """preStop 10 s, drain 300 s, margin 15 s."""
    recording = run()
    assert pod(recording)["terminationGracePeriodSeconds"] == 325
    assert all(item["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}} for item in containers(recording).values())


def test_each_container_reads_its_own_file():
    recording = run()
    files = recording.only("kubernetes:core/v1:ConfigMap").inputs
    assert files["immutable"] is True
    mounts = {
        name: {
            mount["mountPath"]: files["data"][mount["subPath"]] for mount in item["volumeMounts"] if "subPath" in mount
        }
        for name, item in containers(recording).items()
    }
    assert {name: list(paths) for name, paths in mounts.items()} == {
        "server": ["/etc/caddy/Caddyfile"],
        "router": ["/etc/litellm/config.yaml"],
    }
    assert mounts["server"]["/etc/caddy/Caddyfile"].startswith("{\n\tadmin off")
    assert mounts["router"]["/etc/litellm/config.yaml"].startswith("model_list:")


def test_every_mount_has_its_volume():
    names = [volume["name"] for volume in pod(run())["volumes"]]
    assert len(names) == len(set(names))
    for container in containers(run()).values():
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(names)


def test_the_key_stands_in_the_secret_and_nowhere_else():
    recording = run()
    holders = [found.name for found in recording.resources if KEY in repr(found.inputs)]
    assert holders == ["gateway-space-secrets"]
    secrets = recording.named("gateway-space-secrets")
    assert secrets.secrets == {"stringData"}
    assert secrets.inputs["stringData"] == {"apiKey": KEY, "routerKey": "sk-generated-gateway-router-key"}
    assert KEY not in repr(recording.outputs)


def test_a_changed_model_list_is_a_new_file_and_so_new_pods():
    changed = run(backends=[replace(arguments().backends[0], model="other")])
    before, after = (found.only("kubernetes:core/v1:ConfigMap").inputs["data"] for found in (run(), changed))
    assert before["file-0"] == after["file-0"]
    assert before["file-1"] != after["file-1"]
    assert "name" not in run().only("kubernetes:core/v1:ConfigMap").inputs["metadata"]  # a new one each time


def test_clients_reach_the_door_and_monitoring_the_metrics_and_nobody_litellm():
    clients, monitoring = policy(run(), "way-in")["ingress"]
    assert clients == {"from": [{"namespaceSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
    assert monitoring == {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "ports": [{"port": 4001, "protocol": "TCP"}],
    }


def test_metrics_are_for_the_namespace_of_whichever_prometheus_watches():
    _, monitoring = policy(run(monitoring_namespace="observability"), "way-in")["ingress"]
    assert monitoring["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}
    ]


def test_a_load_balancers_packets_come_from_private_addresses():
    clients, _ = policy(internal(), "way-in")["ingress"]
    assert clients["from"] == [{"namespaceSelector": {}}, *({"ipBlock": {"cidr": cidr}} for cidr in PRIVATE)]


def test_the_gateway_reaches_names_and_its_servers_and_not_the_internet():
    recording = run()
    (servers,) = policy(recording, "way-out")["egress"]
    assert servers == {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "serving"}}}],
        "ports": [{"port": 8000, "protocol": "TCP"}],
    }
    (names,) = recording.named("gateway-space-way-out").inputs["spec"]["egress"]
    assert [port["port"] for port in names["ports"]] == [53, 53]


def test_everything_selects_the_same_pods_and_the_servers_policy_knows_them():
    recording = run()
    labels = deployment(recording)["template"]["metadata"]["labels"]
    selectors = [
        deployment(recording)["selector"]["matchLabels"],
        recording.only("kubernetes:core/v1:Service").inputs["spec"]["selector"],
        recording.only("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]["selector"]["matchLabels"],
        policy(recording, "way-in")["podSelector"]["matchLabels"],
        policy(recording, "way-out")["podSelector"]["matchLabels"],
    ]
    assert selectors == [{"app.kubernetes.io/name": "gateway"}] * 5
    assert selectors[0].items() <= labels.items()
    assert recording.only("kubernetes:core/v1:Namespace").inputs["metadata"]["name"] == "gateway"


def test_inside_the_cluster_the_address_is_the_same_with_and_without_a_load_balancer():
    for recording in (run(), internal()):
        service = recording.named("gateway-service").inputs
        assert (service["metadata"]["name"], service["spec"]["type"]) == ("gateway", "ClusterIP")
        assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    assert run().outputs["gateway"] == {"endpoint": "http://gateway.gateway.svc/v1"}


def test_an_internal_load_balancer_is_marked_for_both_of_awss_controllers():
    balancer = internal().named("gateway-balancer").inputs
    assert balancer["metadata"]["annotations"] == {
        f"{LB}type": "nlb",
        f"{LB}scheme": "internal",
        f"{LB}internal": "true",
        f"{LB}target-node-labels": "slipway/pool=system",
    }
    assert balancer["spec"]["loadBalancerSourceRanges"] == ["10.64.0.0/16"]
    assert [port["port"] for port in balancer["spec"]["ports"]] == [80]


def test_a_public_load_balancer_speaks_tls_only():
    recording = public()
    balancer = recording.named("gateway-balancer").inputs
    assert balancer["metadata"]["annotations"] == {
        f"{LB}type": "nlb",
        f"{LB}scheme": "internet-facing",
        f"{LB}target-node-labels": "slipway/pool=system",
        f"{LB}ssl-cert": CERTIFICATE,
        f"{LB}ssl-ports": "443",
        f"{LB}ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        f"{LB}backend-protocol": "tcp",
    }
    assert [(port["port"], port["targetPort"]) for port in balancer["spec"]["ports"]] == [(443, "http")]
    assert balancer["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
    assert recording.outputs["gateway"] == {"endpoint": "https://llm.example.com/v1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exposure": Exposure.INTERNAL}, "none means everybody"),
        ({"exposure": Exposure.PUBLIC, "client_cidrs": ("203.0.113.0/24",)}, "certificate_arn: got none"),
        (
            {"exposure": Exposure.PUBLIC, "client_cidrs": ("0.0.0.0/0",), "certificate_arn": CERTIFICATE},
            "whole internet",
        ),
    ],
)
def test_a_load_balancer_that_would_be_open_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        arguments(**changes)


def planned_gateway(network: NetworkSettings, exposure: Exposure = Exposure.INTERNAL) -> GatewayArgs:
    plan = serving_plan(Platform.OLLAMA, planned(LLAMA), target=Target.CLUSTER)
    changes = {"network": network, "gateway": GatewaySettings(exposure=exposure)}
    plan = replace(plan, settings=plan.settings.model_copy(update=changes))
    return gateway_args(plan, platforms.workloads(plan), "serving", {"apiKey": KEY}, {})


def test_clients_of_an_internal_gateway_are_the_stacks_own_network_unless_it_is_adopted():
    own = planned_gateway(NetworkSettings(cidr="10.80.0.0/16"))
    adopted = planned_gateway(NetworkSettings(vpc_id="vpc-0a1b2c3d", private_subnet_ids=("subnet-0a1b2c3d",)))
    alone = planned_gateway(NetworkSettings(), Exposure.CLUSTER)
    assert [found.client_cidrs for found in (own, adopted, alone)] == [("10.80.0.0/16",), PRIVATE, ()]


def test_servers_are_found_by_the_names_of_their_services():
    found = planned_gateway(NetworkSettings())
    assert [backend.base_url for backend in found.backends] == ["http://ollama.serving.svc:11434/v1"]
    assert found.backend_ports == [11434]
