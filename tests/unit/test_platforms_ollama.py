import json

import pytest
from machine_plans import LLAMA, QWEN, planned, serving_plan

from slipway.catalog.types import Platform
from slipway.planning.types import ServingPlan
from slipway.platforms import ollama
from slipway.platforms.workload import ExecProbe, HttpProbe, Port, Volume, VolumeKind, Workload
from slipway.settings.models import StorageSettings, Target

pytestmark = pytest.mark.unit


def server(plan: ServingPlan | None = None) -> Workload:
    (workload,) = ollama.workloads(plan or serving_plan())
    return workload


def plan_of_two() -> ServingPlan:
    return serving_plan(
        Platform.OLLAMA,
        planned(context_length=8192, concurrency=2, host_gib=3.0, disk_gib=10.4),
        planned(QWEN, reference="qwen2.5:0.5b", context_length=2048, concurrency=6, host_gib=1.5, disk_gib=1.2),
    )


def test_environment_is_explicit_and_comes_from_the_plan():
    assert dict(server().env) == {
        "OLLAMA_HOST": "0.0.0.0:11434",
        "OLLAMA_CONTEXT_LENGTH": "4096",
        "OLLAMA_NUM_PARALLEL": "4",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_KV_CACHE_TYPE": "f16",
        "OLLAMA_NO_CLOUD": "1",
    }


def test_a_model_is_pulled_then_named_with_its_own_context_then_loaded():
    calls = server().setup.calls
    assert [(call.method, call.path, json.loads(call.body)) for call in calls] == [
        ("POST", "/api/pull", {"model": "llama3.1:8b-instruct-q4_K_M", "stream": False}),
        (
            "POST",
            "/api/create",
            {
                "model": LLAMA,
                "from": "llama3.1:8b-instruct-q4_K_M",
                "parameters": {"num_ctx": 4096},
                "stream": False,
            },
        ),
        ("POST", "/api/generate", {"model": LLAMA, "keep_alive": -1, "stream": False}),
    ]


def test_models_share_one_server_and_keep_their_own_context_length():
    """With only OLLAMA_CONTEXT_LENGTH the small model would take the KV cache of the large one."""
    workload = server(plan_of_two())
    created = [json.loads(call.body) for call in workload.setup.calls if call.path == "/api/create"]
    assert workload.served_models == (LLAMA, QWEN)
    assert [(body["model"], body["parameters"]["num_ctx"]) for body in created] == [(LLAMA, 8192), (QWEN, 2048)]
    assert workload.env["OLLAMA_MAX_LOADED_MODELS"] == "2"
    assert workload.env["OLLAMA_NUM_PARALLEL"] == "6"
    assert workload.env["OLLAMA_CONTEXT_LENGTH"] == "8192"


def test_sizes_are_sums_over_the_models():
    workload = server(plan_of_two())
    assert workload.memory_gib == 4.5
    assert workload.volumes == (Volume(name="models", kind=VolumeKind.MODELS, mount_path="/root/.ollama", size_gib=12),)


def test_memory_never_exceeds_what_the_host_offers():
    assert server(serving_plan(Platform.OLLAMA, planned(host_gib=9.0), planned(QWEN, host_gib=9.0))).memory_gib == 14.0


def test_a_configured_disk_size_wins():
    plan = serving_plan(storage=StorageSettings(disk_gib=200))
    assert server(plan).volumes[0].size_gib == 200


def test_on_a_gpu_it_takes_the_gpu_and_half_the_vcpus():
    workload = server()
    assert (workload.image, workload.gpus, workload.cpu) == ("ollama/ollama:0.32.15", 1, 2.0)


def test_on_a_local_host_it_takes_no_gpu():
    workload = server(serving_plan(Platform.OLLAMA, planned(gpus=0), target=Target.LOCAL))
    assert (workload.gpus, workload.cpu) == (0, 1.0)


def test_health_needs_no_http_client_in_the_image():
    workload = server()
    assert workload.container_health == ExecProbe(command=("ollama", "list"))
    assert workload.probes.readiness == HttpProbe(path="/api/version", port="http")
    assert workload.ports == (Port(name="http", number=11434, public=True),)


def test_it_asks_for_no_secret_and_exposes_no_metrics():
    """Ollama knows no keys: one in its environment would suggest protection that is not there."""
    workload = server()
    assert workload.secret_env == ()
    assert workload.metrics_path is None
