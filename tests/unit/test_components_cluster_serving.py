"""One server on Kubernetes, down to each input the API server gets."""

from dataclasses import replace
from typing import Any

import pytest
from machine_plans import planned, serving_plan, vllm_like
from recording import Recording, record

from components.model_cache import CacheKind
from components.scheduling import GPU_TAINT
from components.serving_deployment import ServingDeployment, ServingDeploymentArgs
from slipway.catalog.types import Platform
from slipway.planning.types import UpdateKind
from slipway.platforms import localai, ollama
from slipway.platforms.workload import Setup, Workload

pytestmark = pytest.mark.unit

PLAIN = replace(vllm_like("chat"), setup=Setup())
OLLAMA = ollama.workloads(serving_plan())[0]
GGUF = "huggingface://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"


def run(
    workload: Workload = PLAIN,
    *,
    cache: CacheKind = CacheKind.NODE_DISK,
    replicas: int = 1,
    update: UpdateKind = UpdateKind.RECREATE,
) -> Recording:
    def program() -> ServingDeployment:
        args = ServingDeploymentArgs(
            workload=workload,
            namespace="serving",
            replicas=replicas,
            cache=cache,
            update=update,
            node_selector={"slipway/pool": "serving"},
            tolerations=[GPU_TAINT.toleration()],
            secret_name="stack-secrets",
            protect=True,
            labels={"app.kubernetes.io/part-of": "slipway-prod"},
        )
        return ServingDeployment("serving", args)

    return record(program)


def deployment(recording: Recording) -> dict[str, Any]:
    return dict(recording.only("kubernetes:apps/v1:Deployment").inputs["spec"])


def pod(recording: Recording) -> dict[str, Any]:
    return deployment(recording)["template"]["spec"]


def server(recording: Recording) -> dict[str, Any]:
    return pod(recording)["containers"][0]


def test_a_server_is_these_objects_and_no_others():
    recording = run()
    assert sorted(resource.type for resource in recording.resources) == [
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Service",
        "kubernetes:core/v1:ServiceAccount",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "kubernetes:policy/v1:PodDisruptionBudget",
        "slipway:index:ModelCache",
        "slipway:index:ServingDeployment",
    ]
    assert recording.outputs["serving"] == {
        "service_name": "chat",
        "endpoint": "http://chat.serving.svc:8000/v1",
    }


def test_the_image_runs_by_its_own_entry_point_without_a_shell():
    container = server(run())
    assert container["image"] == "vllm/vllm-openai:v0.33.0"
    assert container["args"] == ["Qwen/Qwen2.5-7B-Instruct", "--max-model-len", "8192"]
    assert "command" not in container


def test_secrets_come_by_reference():
    assert server(run())["env"] == [
        {"name": "HF_HOME", "value": "/home/vllm/.cache/huggingface"},
        {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "stack-secrets", "key": "apiKey"}}},
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "stack-secrets", "key": "hfToken"}}},
    ]


def test_memory_and_gpus_are_request_and_limit_and_the_disk_is_counted():
    """40 GiB of volumes on the node's disk (30 + 5 + 5) and 1 GiB of logs; 8 GiB of /dev/shm are memory."""
    assert server(run())["resources"] == {
        "requests": {"cpu": "3000m", "memory": "12800Mi", "nvidia.com/gpu": "1", "ephemeral-storage": "41Gi"},
        "limits": {"memory": "12800Mi", "nvidia.com/gpu": "1"},
    }


def test_the_pod_passes_pod_security_restricted():
    recording = run()
    assert pod(recording)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "runAsGroup": 0,
        "fsGroup": 0,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert server(recording)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"emptyDir", "configMap", "ephemeral", "persistentVolumeClaim"}
    assert all(set(volume) - {"name"} <= allowed for volume in pod(recording)["volumes"])


def test_an_image_that_needs_root_keeps_its_own_user_but_no_capability():
    recording = run(OLLAMA)
    assert pod(recording)["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert server(recording)["securityContext"]["readOnlyRootFilesystem"] is False
    assert server(recording)["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_pod_has_no_token_and_no_service_links():
    recording = run()
    assert (pod(recording)["automountServiceAccountToken"], pod(recording)["enableServiceLinks"]) == (False, False)
    assert recording.only("kubernetes:core/v1:ServiceAccount").inputs["automountServiceAccountToken"] is False


def test_requests_in_flight_are_finished_before_the_kill():
    """preStop 10 s, drain 90 s, margin 15 s: within the two minutes' notice of spot."""
    recording = run()
    assert server(recording)["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}
    assert pod(recording)["terminationGracePeriodSeconds"] == 115


def test_probes_are_the_workloads():
    container = server(run())
    assert container["startupProbe"] == {
        "httpGet": {"path": "/health", "port": "http"},
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 30,
    }


def test_the_pod_goes_where_the_gpus_are():
    recording = run()
    assert pod(recording)["nodeSelector"] == {"slipway/pool": "serving"}
    assert pod(recording)["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_weights_lie_on_the_nodes_disks_and_shared_memory_in_memory():
    assert pod(run())["volumes"] == [
        {"name": "models", "emptyDir": {"sizeLimit": "30Gi"}},
        {"name": "compiled", "emptyDir": {"sizeLimit": "5Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "5Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
    ]


def test_a_single_replica_keeps_its_weights_in_a_claim_that_is_protected():
    recording = run(cache=CacheKind.CLAIM)
    claims = {claim.name: claim for claim in recording.of_type("kubernetes:core/v1:PersistentVolumeClaim")}
    assert {name: claim.protect for name, claim in claims.items()} == {
        "serving-cache-models": True,
        "serving-cache-compiled": False,
    }
    models = claims["serving-cache-models"].inputs
    assert models["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "30Gi"}}}
    assert models["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert pod(recording)["volumes"][0] == {
        "name": "models",
        "persistentVolumeClaim": {"claimName": "serving-cache-models-autonamed"},
    }
    assert server(recording)["resources"]["requests"]["ephemeral-storage"] == "6Gi"


def test_a_volume_that_attaches_to_one_node_is_let_go_before_the_next_pod_takes_it():
    recording = run(cache=CacheKind.CLAIM)
    assert deployment(recording)["strategy"] == {"type": "Recreate"}
    assert "topologySpreadConstraints" not in pod(recording)
    with pytest.raises(ValueError, match="attaches to one node"):
        run(cache=CacheKind.CLAIM, replicas=2)


def test_several_replicas_without_local_disks_bring_a_volume_each():
    recording = run(cache=CacheKind.EPHEMERAL_CLAIM, replicas=2)
    template = pod(recording)["volumes"][0]["ephemeral"]["volumeClaimTemplate"]
    assert template["spec"]["resources"] == {"requests": {"storage": "30Gi"}}
    assert recording.of_type("kubernetes:core/v1:PersistentVolumeClaim") == []


@pytest.mark.parametrize(
    ("update", "strategy"),
    [
        (UpdateKind.RECREATE, {"type": "Recreate"}),
        (UpdateKind.ONE_BY_ONE, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        (UpdateKind.SURGE, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
    ],
)
def test_pods_are_replaced_as_planned(update: UpdateKind, strategy: dict[str, Any]):
    assert deployment(run(replicas=2, update=update))["strategy"] == strategy


@pytest.mark.parametrize("update", [UpdateKind.ONE_BY_ONE, UpdateKind.SURGE])
def test_a_claim_is_never_rolled(update: UpdateKind):
    """The new pod would wait for the volume, and the old one for the new pod."""
    with pytest.raises(ValueError, match="update: a claim attaches to one node, expected recreate"):
        run(cache=CacheKind.CLAIM, update=update)


def test_replicas_are_spread_over_zones_and_nodes():
    recording = run(replicas=2, update=UpdateKind.ONE_BY_ONE)
    assert deployment(recording)["replicas"] == 2
    keys = [constraint["topologyKey"] for constraint in pod(recording)["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_service_budget_and_policy_select_the_deployments_pods():
    recording = run()
    labels = deployment(recording)["template"]["metadata"]["labels"]
    service = recording.only("kubernetes:core/v1:Service").inputs["spec"]
    budget = recording.only("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]
    policy = recording.only("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    selectors = [
        deployment(recording)["selector"]["matchLabels"],
        service["selector"],
        budget["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
    ]
    assert selectors == [{"app.kubernetes.io/name": "chat"}] * 4
    assert selectors[0].items() <= labels.items()


def test_a_drain_takes_one_replica_at_a_time():
    spec = run().only("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_service_is_reached_from_inside_only():
    spec = run().only("kubernetes:core/v1:Service").inputs["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["ports"] == [{"name": "http", "port": 8000, "targetPort": "http", "protocol": "TCP"}]


def test_only_the_gateway_asks_for_a_model_and_monitoring_for_metrics():
    spec = run().only("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    clients, monitoring = spec["ingress"]
    port = [{"port": 8000, "protocol": "TCP"}]
    gateway = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}},
    }
    assert clients == {"from": [gateway], "ports": port}
    assert monitoring["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def test_the_deployment_waits_for_its_policy_and_is_given_time_to_start():
    recording = run()
    assert recording.named("serving-server").depends_on >= {"serving-way-in", "serving-account"}
    assert deployment(recording)["progressDeadlineSeconds"] == 1200


def test_a_read_only_server_can_always_write_to_tmp():
    workload = replace(PLAIN, volumes=tuple(volume for volume in PLAIN.volumes if volume.name != "tmp"))
    recording = run(workload)
    assert {"name": "server-temporary", "emptyDir": {"sizeLimit": "1Gi"}} in pod(recording)["volumes"]
    assert {"name": "server-temporary", "mountPath": "/tmp"} in server(recording)["volumeMounts"]


def test_models_are_pulled_beside_each_server_and_gate_its_readiness():
    """A Job would reach one replica through the Service; each has models of its own."""
    recording = run(OLLAMA)
    _, setup = pod(recording)["containers"]
    assert setup["readinessProbe"]["exec"] == {"command": ["test", "-f", "/tmp/done"]}
    assert setup["securityContext"]["runAsUser"] == 65534
    script = setup["command"][2]
    assert script.startswith("trap 'exit 0' TERM; curl --fail-early ")
    assert script.count("http://127.0.0.1:11434/api/") == len(OLLAMA.setup.calls) == 3
    assert script.endswith("& wait $! && touch /tmp/done && { sleep infinity & wait; }")
    files = recording.only("kubernetes:core/v1:ConfigMap").inputs
    assert files["immutable"] is True
    assert files["data"] == {f"call-{number}.json": call.body for number, call in enumerate(OLLAMA.setup.calls)}


def test_files_are_mounted_one_by_one_and_read_only():
    workload = localai.workloads(serving_plan(Platform.LOCALAI, planned(reference=GGUF)))[0]
    recording = run(workload)
    assert {
        "name": "setup-files",
        "mountPath": "/etc/localai/models.yaml",
        "subPath": "file-0",
        "readOnly": True,
    } in server(recording)["volumeMounts"]
    assert {"name": "setup-files", "configMap": {"name": "serving-files-autonamed"}} in pod(recording)["volumes"]


def test_every_mount_has_its_volume():
    for workload in (PLAIN, OLLAMA, vllm_like("setup")):
        recording = run(workload)
        names = [volume["name"] for volume in pod(recording)["volumes"]]
        assert len(names) == len(set(names))
        for container in pod(recording)["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(names)
