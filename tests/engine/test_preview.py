"""A plan on the real engine: the graph, its unknowns and secrets, and what stays untouched."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hand_made import Stack

from slipway.engine import SECRET, UNKNOWN, Offline, obtain, preview, previews
from slipway.engine.command import environment
from slipway.problems import SlipwayError

pytestmark = pytest.mark.engine

TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*"}]}'


def test_the_graph_holds_every_resource_with_its_inputs_parent_and_provider(project):
    folder = project(f"""
        class Server(pulumi.ComponentResource):
            def __init__(self, name):
                super().__init__("slipway:index:Server", name)
                child = pulumi.ResourceOptions(parent=self, protect=True)
                role = aws.iam.Role(f"{{name}}-role", assume_role_policy='{TRUST}', opts=child)
                self.instance = aws.ec2.Instance(
                    f"{{name}}-instance", ami="ami-1", instance_type="g6.xlarge", iam_instance_profile=role.name,
                    root_block_device={{"volume_size": 100, "volume_type": "gp3"}},
                    opts=pulumi.ResourceOptions(parent=self))
                self.register_outputs({{"ip": self.instance.private_ip}})
        server = Server("llm")
        pulumi.export("ip", server.instance.private_ip)
        pulumi.export("size", pulumi.Config("slipway").require_int("size"))
    """)
    graph = preview(Stack(), project=folder)

    assert graph.stack == "test"
    assert graph.outputs == {"ip": UNKNOWN, "size": 3}
    assert graph.region() == "us-east-1"
    assert graph.count_by_type() == {"aws:ec2/instance:Instance": 1, "aws:iam/role:Role": 1}
    by_name = {resource.name: resource for resource in graph.resources}
    assert set(by_name) == {"slipway-test", "llm", "llm-role", "llm-instance", "default_7_51_1"} | (
        set(by_name) & {"default"}
    )
    instance = by_name["llm-instance"]
    assert instance.inputs == {
        "ami": "ami-1",
        "iamInstanceProfile": UNKNOWN,
        "instanceType": "g6.xlarge",
        "rootBlockDevice": {"volumeSize": 100, "volumeType": "gp3"},
    }
    assert instance.property_dependencies["iamInstanceProfile"] == (by_name["llm-role"].urn,)
    assert instance.parent == by_name["llm"].urn
    assert instance.provider == by_name["default_7_51_1"].urn
    assert (instance.custom, instance.change, instance.protect) == (True, "create", False)
    assert (by_name["llm"].custom, by_name["llm-role"].protect) == (False, True)


def test_what_only_the_cloud_knows_is_unknown_at_every_depth(project):
    folder = project("""
        instance = aws.ec2.Instance("web", ami="ami-1", instance_type="g6.xlarge",
                                    root_block_device={"volume_type": "gp3"})
        pulumi.export("arn", instance.arn)
        pulumi.export("volume", instance.root_block_device.volume_id)
        pulumi.export("kind", instance.root_block_device.volume_type)
        pulumi.export("url", pulumi.Output.concat("http://", instance.public_dns))
    """)
    graph = preview(Stack(), project=folder)
    assert graph.outputs == {"arn": UNKNOWN, "volume": UNKNOWN, "kind": "gp3", "url": UNKNOWN}


def test_a_secure_value_is_never_decrypted_and_is_an_unknown_secret(project):
    """A reviewer has neither the passphrase nor the key, and a fork must never get the value."""
    folder = project(
        """
        token = pulumi.Config("slipway").require_secret("hfToken")
        calls = []
        docker.Container("c", image="i", envs=[token.apply(lambda value: calls.append(value) or f"T={value}")])
        pulumi.export("token", token)
        pulumi.export("seen", calls)
    """,
        "  slipway:hfToken: {type: string, secret: true}\n",
    )
    stack = Stack(config={"slipway:hfToken": {"secure": "v1:0123456789abcdef:notEvenBase64"}})
    graph = preview(stack, project=folder)
    (container,) = graph.of_type("docker:index/container:Container")
    assert container.inputs["envs"] in (SECRET, [SECRET])
    assert graph.outputs == {"token": SECRET, "seen": []}


def test_a_secret_deep_inside_a_structured_value_leaves_the_rest_readable(project):
    folder = project("""
        gateway = pulumi.Config("slipway").require_object("gateway")
        pulumi.export("host", gateway["host"])
    """)
    stack = Stack(config={"slipway:gateway": {"host": "llm.example.com", "keys": [{"secure": "v1:x:y"}]}})
    assert preview(stack, project=folder).outputs == {"host": "llm.example.com"}


def test_a_generated_password_is_an_unknown_secret(project):
    folder = project("""
        password = random.RandomPassword("key", length=32)
        pulumi.export("key", password.result)
    """)
    graph = preview(Stack(), project=folder)
    assert graph.outputs == {"key": SECRET}


def test_the_configuration_schema_of_the_project_is_enforced(project):
    folder = project("")
    with pytest.raises(SlipwayError, match=r"slipway:size.* must be of type 'integer'"):
        preview(Stack(config={"slipway:size": "many"}), project=folder)


def test_objects_of_a_cluster_that_is_only_planned_are_checked_too(project):
    """The engine calls no provider whose kubeconfig is unknown, so nobody would have checked them."""
    folder = project(f"""
        role = aws.iam.Role("role", assume_role_policy='{TRUST}')
        cluster = aws.eks.Cluster("c", role_arn=role.arn, version="1.34", vpc_config={{"subnet_ids": ["subnet-1"]}})
        provider = k8s.Provider("p", kubeconfig=cluster.endpoint)
        k8s.core.v1.Pod("pod", spec={{"containers": [{{"name": "a", "imag": "b"}}]}},
                        opts=pulumi.ResourceOptions(provider=provider))
    """)
    with pytest.raises(SlipwayError, match=r"pod\.spec\.containers\[0\]\.imag: no such field"):
        preview(Stack(), project=folder)


def test_a_custom_resource_without_a_schema_is_listed_as_not_validated(project):
    folder = project("""
        k8s.apiextensions.CustomResource("pool", api_version="karpenter.sh/v1", kind="NodePool", spec={"a": 1})
        k8s.core.v1.ConfigMap("map", data={"a": "b"})
    """)
    graph = preview(Stack(), project=folder)
    assert [urn.rpartition("::")[2] for urn in graph.unvalidated] == ["pool"]
    (settings,) = graph.of_type("kubernetes:core/v1:ConfigMap")
    assert settings.inputs["metadata"]["name"].startswith("map-")
    assert len(settings.inputs["metadata"]["name"]) == len("map-") + 8


def test_invokes_that_need_no_account_are_answered_and_others_name_the_way_out(project):
    folder = project("""
        pulumi.export("partition", aws.get_partition().partition)
        pulumi.export("ami", aws.ssm.get_parameter(name="/aws/ami").value)
        pulumi.export("zones", aws.get_availability_zones(state="available").names)
    """)
    token = "aws:index/getAvailabilityZones:getAvailabilityZones"
    answers = {token: lambda args: {"id": args["region"], "names": [f"{args['region']}a"]}}
    graph = preview(Stack(), project=folder, answers=answers)
    assert graph.outputs == {"partition": "aws", "ami": "resolve:ssm:/aws/ami", "zones": ["us-east-1a"]}
    with pytest.raises(SlipwayError, match=f"__main__.py:10: only the cloud can answer {token}; pass its result"):
        preview(Stack(), project=folder)


def test_an_existing_resource_is_read_as_unknown(project):
    folder = project("""
        vpc = aws.ec2.Vpc.get("adopted", "vpc-0123456789")
        pulumi.export("cidr", vpc.cidr_block)
    """)
    graph = preview(Stack(), project=folder)
    (vpc,) = graph.of_type("aws:ec2/vpc:Vpc")
    assert (vpc.change, graph.outputs) == ("read", {"cidr": UNKNOWN})


def test_the_users_home_project_and_environment_are_left_alone(project, tmp_path, monkeypatch):
    """`~/.pulumi` holds the user's login; a plan that selected a stack there would change what `pulumi up` does."""
    home = tmp_path / "home"
    (home / ".pulumi").mkdir(parents=True)
    (home / ".pulumi" / "credentials.json").write_text('{"current": "file:///nowhere"}')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_REGION", "mars-north-1")
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    monkeypatch.chdir(tmp_path)
    folder = project("""
        import os
        aws.Provider("explicit")
        k8s.Provider("cluster")
        pulumi.export("seen", sorted(name for name in os.environ if name.startswith(("AWS_", "KUBE", "PULUMI_"))))
    """)
    before = {path: path.read_bytes() for path in [*home.rglob("*"), *folder.rglob("*")] if path.is_file()}
    cached = Path(os.environ["HOME"]) / ".cache"
    with Offline("test", {}, project=folder, engine=_engine(monkeypatch)) as session:
        graph = session.preview()
        root = session.folders.root
    assert graph.outputs == {"seen": []}
    assert {"region", "kubeconfig"}.isdisjoint(
        key
        for resource in graph.of_type("pulumi:providers:aws", "pulumi:providers:kubernetes")
        for key in resource.inputs
    )
    after = {path: path.read_bytes() for path in [*home.rglob("*"), *folder.rglob("*")] if path.is_file()}
    assert after == before
    assert not cached.exists()
    assert not root.exists()
    assert os.environ["AWS_REGION"] == "mars-north-1"


def _engine(monkeypatch):
    with monkeypatch.context() as context:
        context.delenv("HOME")
        return obtain()


def test_the_engine_process_gets_no_account_cluster_or_host(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "KUBECONFIG", "DOCKER_HOST", "PULUMI_ACCESS_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "private")
    given = environment(tmp_path, {"PULUMI_SKIP_UPDATE_CHECK": "true"})
    assert "private" not in given.values()
    assert given["HOME"] == str(tmp_path)
    assert given["PATH"] == os.environ["PATH"]


def test_several_stacks_at_once_keep_their_configuration_apart(project):
    folder = project("""
        size = pulumi.Config("slipway").require_int("size")
        for index in range(size):
            docker.Container(f"c{index}", image=f"image-{pulumi.get_stack()}")
        pulumi.export("size", size)
    """)
    stacks = [Stack(name=f"s{size}", config={"slipway:size": size}) for size in (1, 2, 3, 4, 5)]
    results = previews([*stacks, Stack(name="broken", config={"slipway:size": "x"})], project=folder)
    assert isinstance(results.pop("broken"), SlipwayError)
    for size, (name, graph) in enumerate(results.items(), start=1):
        assert (name, graph.outputs) == (f"s{size}", {"size": size})
        images = [container.inputs["image"] for container in graph.of_type("docker:index/container:Container")]
        assert images == [f"image-s{size}"] * size


def test_a_cancelled_session_ends_its_engine_and_removes_its_folder(project):
    folder = project("""
        import time
        time.sleep(3)
    """)
    with Offline("test", {}, project=folder) as session:
        root = session.folders.root
        threading.Timer(1.0, session.cancel).start()
        with pytest.raises(SlipwayError):
            session.preview()
    assert not root.exists()


def test_a_session_cancelled_before_it_opens_starts_no_engine(project):
    session = Offline("test", {}, project=project(""))
    session.cancel()
    with session, pytest.raises(SlipwayError, match="test: the session was cancelled"):
        session.preview()


def test_a_program_that_prints_does_not_reach_standard_output(project, capsys):
    """`slipway plan --json` promises JSON and nothing else."""
    preview(Stack(), project=project('print("hello from the program")'))
    assert capsys.readouterr().out == ""


def test_an_interrupt_ends_every_engine_and_leaves_no_folder(project, tmp_path):
    """Ctrl-C during `slipway plan`: a terminal sends it to the command, and the engines are its own to end."""
    folder = project("""
        import pathlib, time
        pathlib.Path(__file__).with_name(pulumi.get_stack()).touch()
        time.sleep(1)
    """)
    script = f"""
from pathlib import Path
from types import SimpleNamespace
from slipway.engine import previews
stacks = [SimpleNamespace(name=name, config={{}}) for name in ("one", "two", "three")]
previews(stacks, project=Path({str(folder)!r}))
"""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 30
    while not any((folder / name).exists() for name in ("one", "two", "three")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [path for path in scratch.iterdir() if path.name.startswith("slipway-")] != []
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT or b"KeyboardInterrupt" in err
    assert [path.name for path in scratch.iterdir() if path.name.startswith("slipway-")] == []
    assert not _processes_with(str(scratch))


def _processes_with(text):
    """Command lines and environments of living processes that mention `text`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if text.encode() in entry.read_bytes():
                found.append(entry.parent.name)
    return found
