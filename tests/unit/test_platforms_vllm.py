"""The vLLM server a plan asks for: exec form, its own user, secrets by reference, probes as long as a start takes."""

import pytest
from planning_stacks import ONE_MACHINE, planned

from slipway.platforms import workloads
from slipway.platforms.vllm import server_name
from slipway.platforms.workload import VolumeKind, Workload

pytestmark = pytest.mark.unit


def server(**changes: object) -> Workload:
    (found,) = workloads(planned(**changes))
    return found


def test_the_command_line_is_the_plans_and_begins_with_the_model():
    plan = planned()
    (found,) = workloads(plan)
    assert found.args == plan.models[0].flags
    assert found.args[0] == "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic"


def test_the_image_is_the_pinned_one_for_the_accelerator():
    assert server().image == planned().release.images["cuda"]
    on_cpu = server(target="local", region=None, instanceTypes=None, capacity=None, demand={"concurrency": 1},
                    model={"name": "qwen2.5-0.5b-instruct"})  # fmt: skip
    assert on_cpu.image == planned().release.images["cpu"]
    assert on_cpu.gpus == 0
    assert on_cpu.user is None  # Dockerfile.cpu makes no user, so volumes are root's


def test_a_cpu_engine_gets_its_cache_in_whole_gib():
    on_cpu = server(
        target="local", region=None, instanceTypes=None, capacity=None, model={"name": "qwen2.5-3b-instruct"},
        demand={"concurrency": 8, "contextLength": 32768},
    )  # fmt: skip
    # 8 requests x 32768 tokens x 36,864 bytes
    assert on_cpu.env["VLLM_CPU_KVCACHE_SPACE"] == "9"
    assert "--gpu-memory-utilization" not in on_cpu.args


def test_secrets_are_references_and_the_token_comes_only_where_it_is_set():
    assert [(found.variable, found.secret) for found in server().secret_env] == [("VLLM_API_KEY", "apiKey")]
    with_token = server(secrets={"hfToken"}).secret_env
    assert [(found.variable, found.secret) for found in with_token] == [
        ("VLLM_API_KEY", "apiKey"),
        ("HF_TOKEN", "hfToken"),
    ]


def test_it_runs_as_the_images_own_user_with_writable_places_mounted():
    found = server()
    assert found.user == (2000, 0)
    assert {volume.mount_path: volume.kind for volume in found.volumes} == {
        "/models": VolumeKind.MODELS,
        "/home/vllm/.cache": VolumeKind.CACHE,
        "/home/vllm": VolumeKind.SCRATCH,
        "/tmp": VolumeKind.SCRATCH,
        "/dev/shm": VolumeKind.SHARED_MEMORY,
    }
    assert found.env["HF_HOME"] == "/models"
    assert (found.env["HOME"], found.env["USER"], found.env["LOGNAME"]) == ("/home/vllm", "vllm", "vllm")


def test_a_client_cannot_ask_for_too_much_and_nothing_is_reported_home():
    env = server().env
    assert {name: env[name] for name in ("VLLM_MAX_N_SEQUENCES", "VLLM_MEDIA_URL_ALLOW_REDIRECTS")} == {
        "VLLM_MAX_N_SEQUENCES": "64",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    }
    assert (env["VLLM_NO_USAGE_STATS"], env["DO_NOT_TRACK"]) == ("1", "1")
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in env
    # Set, it would hide the kernels that the image carries, and FlashInfer would download them.
    assert "FLASHINFER_CUBIN_DIR" not in env


def test_the_home_is_mounted_before_the_cache_inside_it():
    paths = [volume.mount_path for volume in server().volumes]
    assert paths.index("/home/vllm") < paths.index("/home/vllm/.cache")


def test_the_kill_comes_after_the_drain_and_a_margin():
    found = server()
    assert found.stop_seconds == found.drain_seconds + 15 == 105


def test_the_model_volume_has_the_proven_size():
    plan = planned(storage={"diskGib": 60})
    (found,) = workloads(plan)
    sizes = {volume.name: volume.size_gib for volume in found.volumes}
    assert sizes["models"] == 60
    assert {volume.name: volume.size_gib for volume in server().volumes}["models"] == 12


def test_a_first_start_may_take_twice_what_is_known_and_ten_minutes():
    plan = planned()
    (found,) = workloads(plan)
    startup = found.probes.startup
    allowed = startup.period_seconds * startup.failures
    assert allowed >= 600 + 2 * plan.models[0].cold_start.total_seconds
    assert 0 <= allowed - int(found.env["VLLM_ENGINE_READY_TIMEOUT_S"]) < startup.period_seconds
    assert {probe.path for probe in (startup, found.probes.readiness, found.probes.liveness)} == {"/health"}


def test_requests_drain_within_a_spot_notice():
    found = server()
    assert found.drain_seconds == 90
    assert found.args[found.args.index("--shutdown-timeout") + 1] == "90"


@pytest.mark.parametrize("machine", ["g6.xlarge", "g5.12xlarge", "g6e.xlarge"])
def test_requests_fit_beside_the_agents_of_the_node(machine: str):
    """A pod that asks for 16 GiB or 4 cores never lands on an xlarge."""
    plan = planned(instanceTypes=(machine,))
    (found,) = workloads(plan)
    kind = plan.instance_types[0]
    assert kind.allocatable_memory_mib is not None
    assert kind.allocatable_cpu_milli is not None
    replicas = kind.gpu_count // found.gpus
    assert replicas * found.memory_gib <= kind.allocatable_memory_mib / 1024 - 0.75
    assert replicas * found.cpu <= kind.allocatable_cpu_milli / 1000 - 0.5


def test_each_model_has_a_server_of_its_own():
    found = workloads(
        planned(**ONE_MACHINE, model=None, instanceTypes=("g5.12xlarge",), demand={"concurrency": 4},
                models=({"name": "gemma-2-2b-it"}, {"name": "qwen3-8b"}))
    )  # fmt: skip
    assert [server.served_models for server in found] == [("gemma-2-2b-it",), ("qwen3-8b",)]
    assert len({server.name for server in found}) == 2


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("llama-3.1-8b-instruct", "llama-3-1-8b-instruct"),
        ("acme/Tuned_8B", "acme-tuned-8b"),
        ("01-ai/yi", "model-01-ai-yi"),
        ("vllm", "model-vllm"),
    ],
)
def test_the_servers_name_is_a_dns_label_and_never_vllm(model: str, name: str):
    """A Service named vllm sets VLLM_PORT to a URL, and vLLM does not start."""
    assert server_name(model) == name


def test_gpustack_runs_all_models_in_one_container_and_deploys_them_by_its_api():
    found = server(**ONE_MACHINE, platform="gpustack", instanceTypes=("g6.2xlarge",), demand={"concurrency": 4})
    assert [port.number for port in found.ports] == [80, 10161]
    (call,) = found.setup.calls
    assert (call.method, call.path) == ("POST", "/v2/models")
    assert '"backend": "vLLM"' in call.body
    assert '"--max-model-len=4096"' in call.body
    assert "--served-model-name" not in call.body
