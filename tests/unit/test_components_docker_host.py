import pytest
from machine_plans import planned, serving_plan, vllm_like
from recording import Recording, record

from components.docker_host import DockerHost, DockerHostArgs
from slipway.catalog.types import Market, Platform
from slipway.platforms import localai, ollama
from slipway.settings.models import Target

pytestmark = pytest.mark.unit

MARKER = "sk-MARKER"
CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"


def local(*, gpus: int = 0, protect: bool = False) -> Recording:
    """Ollama, which has calls to make, beside a server with secrets, shared memory and scratch space."""
    plan = serving_plan(
        Platform.OLLAMA, planned(gpus=gpus), target=Target.LOCAL, market=Market.ON_DEMAND, protect=protect
    )
    args = DockerHostArgs(
        plan=plan,
        workloads=(*ollama.workloads(plan), vllm_like(gpus=gpus)),
        secrets={"apiKey": MARKER, "hfToken": f"{MARKER}-hf"},
    )
    return record(lambda: DockerHost("local", args))


def test_every_child_belongs_to_the_component_and_carries_its_name():
    component, *children = local().resources
    assert (component.type, component.name) == ("slipway:index:DockerHost", "local")
    assert {child.parent.rpartition("::")[2] for child in children} == {"local"}
    assert all(child.name.startswith("local-") for child in children)
    assert len({(child.type, child.name) for child in children}) == len(children)


def test_servers_are_published_on_the_loopback_interface_only():
    published = {server.name: server.inputs.get("ports") for server in local().of_type(CONTAINER)}
    assert published == {
        "local-ollama": [{"internal": 11434, "external": 11434, "ip": "127.0.0.1", "protocol": "tcp"}],
        "local-chat": [{"internal": 8000, "external": 8000, "ip": "127.0.0.1", "protocol": "tcp"}],
        "local-ollama-setup": None,
        "local-chat-setup": None,
    }


def test_no_container_has_privileges_or_unbounded_logs():
    for container in local().of_type(CONTAINER):
        assert container.inputs["capabilities"] == {"drops": ["ALL"]}
        assert container.inputs["securityOpts"] == ["no-new-privileges:true"]
        assert container.inputs["logOpts"] == {"max-size": "20m", "max-file": "3"}
        assert "privileged" not in container.inputs
        assert "networkMode" not in container.inputs


def test_a_secret_is_an_environment_variable_and_nothing_else():
    recording = local()
    held = [resource for resource in recording.resources if MARKER in repr(resource.inputs)]
    assert [resource.name for resource in held] == ["local-chat"]
    (server,) = held
    assert server.inputs["envs"] == [
        "HF_HOME=/home/vllm/.cache/huggingface",
        f"VLLM_API_KEY={MARKER}",
        f"HF_TOKEN={MARKER}-hf",
    ]
    assert "envs" in {path.partition("[")[0] for path in server.secrets}
    without = {key: value for key, value in server.inputs.items() if key != "envs"}
    assert MARKER not in repr(without)
    assert MARKER not in repr(recording.outputs)


def test_the_server_of_a_local_stack():
    server = local().named("local-ollama").inputs
    assert server["image"] == "sha256:local-ollama-image"
    assert server["command"] == ["serve"]
    assert server["memory"] == 3072
    assert server["restart"] == "unless-stopped"
    assert server["healthcheck"] == {
        "tests": ["CMD", "ollama", "list"],
        "interval": "10s",
        "timeout": "5s",
        "retries": 3,
        "startPeriod": "120s",
    }
    assert (server["wait"], server["waitTimeout"]) == (True, 120)
    assert server["volumes"] == [{"volumeName": "local-models", "containerPath": "/root/.ollama"}]
    assert server["networksAdvanced"] == [{"name": "local-network", "aliases": ["ollama"]}]


def test_no_gpu_is_asked_for_unless_the_plan_has_one():
    assert "gpus" not in local().named("local-ollama").inputs
    assert local(gpus=1).named("local-ollama").inputs["gpus"] == "all"


def test_models_are_pulled_by_a_container_that_ends():
    setup = local().named("local-ollama-setup")
    assert setup.inputs["mustRun"] is False
    assert setup.inputs["restart"] == "on-failure"
    assert setup.depends_on >= {"local-ollama"}
    options = [
        *("--silent", "--show-error", "--fail-with-body", "--max-time", "7200"),
        *("--retry", "30", "--retry-delay", "5", "--retry-all-errors", "--request", "POST"),
    ]
    assert setup.inputs["command"] == [
        "--fail-early",
        *options,
        *("--json", "@/calls/0.json", "http://ollama:11434/api/pull"),
        "--next",
        *options,
        *("--json", "@/calls/1.json", "http://ollama:11434/api/create"),
        "--next",
        *options,
        *("--json", "@/calls/2.json", "http://ollama:11434/api/generate"),
    ]
    assert [upload["file"] for upload in setup.inputs["uploads"]] == ["/calls/0.json", "/calls/1.json", "/calls/2.json"]


def test_models_are_pulled_again_when_the_server_is_replaced():
    assert local().named("local-ollama-setup").replace_with == ("local-ollama",)


def test_images_are_pulled_once_and_stay():
    images = local().of_type("docker:index/remoteImage:RemoteImage")
    assert sorted(image.inputs["name"] for image in images) == [
        "curlimages/curl:8.21.0",
        "ollama/ollama:0.32.15",
        "vllm/vllm-openai:v0.33.0",
    ]
    assert all(image.inputs["keepLocally"] is True for image in images)


def test_servers_share_the_volume_of_a_name():
    recording = local()
    assert sorted(volume.name for volume in recording.of_type(VOLUME)) == ["local-compiled", "local-models"]
    assert recording.named("local-chat").inputs["volumes"] == [
        {"volumeName": "local-models", "containerPath": "/home/vllm/.cache/huggingface"},
        {"volumeName": "local-compiled", "containerPath": "/home/vllm/.cache/vllm"},
        {"containerPath": "/tmp"},
    ]
    assert recording.named("local-chat").inputs["shmSize"] == 8192


def test_only_models_are_protected():
    protected = [resource.name for resource in local(protect=True).resources if resource.protect]
    assert protected == ["local-models"]


def test_a_server_that_may_take_an_hour_is_not_waited_for():
    """The provider gives up after 20 minutes and would call a stack broken that is only downloading."""
    server = _localai().named("local-localai").inputs
    assert server["wait"] is False
    assert "waitTimeout" not in server
    assert server["healthcheck"]["startPeriod"] == "3600s"


def test_files_of_a_server_are_uploaded():
    (upload,) = _localai().named("local-localai").inputs["uploads"]
    assert (upload["file"], upload["permissions"]) == ("/etc/localai/models.yaml", "0644")
    assert "uri: https://example.test/a.gguf" in upload["content"]


def test_outputs_name_endpoints_and_models():
    assert local().outputs["local"] == {
        "endpoints": {"ollama": "http://127.0.0.1:11434/v1", "chat": "http://127.0.0.1:8000/v1"},
        "models": ["llama-3.1-8b-instruct", "chat"],
    }


def test_missing_secrets_are_named_at_once():
    plan = serving_plan(Platform.OLLAMA, planned(gpus=0), target=Target.LOCAL)
    with pytest.raises(ValueError, match="secrets: missing chat: apiKey, chat: hfToken"):
        DockerHostArgs(plan=plan, workloads=(vllm_like(),))


def _localai() -> Recording:
    plan = serving_plan(
        Platform.LOCALAI,
        planned(reference="https://example.test/a.gguf", gpus=0),
        target=Target.LOCAL,
        market=Market.ON_DEMAND,
    )
    args = DockerHostArgs(plan=plan, workloads=localai.workloads(plan), secrets={"apiKey": MARKER})
    return record(lambda: DockerHost("local", args))
