"""`up`, a second plan and `destroy` on the real engine, with providers that pretend to create."""

import sys
from pathlib import Path

import pulumi_aws as aws
import pytest
from hand_made import Stack

from slipway.engine import SECRET, Offline
from slipway.problems import SlipwayError

sys.path.insert(0, str(Path(__file__).parents[1] / "providers"))
from creating import recording

pytestmark = pytest.mark.engine

MARKER = "hf_PLANTED_marker_0123456789"
PROGRAM = """
    token = pulumi.Config("slipway").require_secret("hfToken")
    vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
    subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.1.0/24")
    key = random.RandomPassword("key", length=32)
    secret = aws.secretsmanager.SecretVersion(
        "token", secret_id="llm", secret_string=pulumi.Output.json_dumps({"token": token, "key": key.result}))
    k8s.core.v1.Secret("env", string_data={"HF_TOKEN": token})
    docker.Container("c", image="i", envs=[pulumi.Output.concat("HF_TOKEN=", token)])
    pulumi.export("subnet", subnet.id)
    pulumi.export("token", token)
"""


def test_a_secret_planted_in_the_engine_is_nowhere_in_clear(project):
    providers = recording()
    secrets = {"slipway:hfToken": MARKER}
    with Offline(
        "test", dict(Stack().config), project=project(PROGRAM), providers=providers, secrets=secrets
    ) as session:
        planned = session.preview()
        applied = session.up()
        for graph in (planned, applied):
            assert graph.outputs["token"] is SECRET
            assert MARKER not in repr(graph)
        assert MARKER not in session.state()
        assert MARKER not in "\n".join(session.transcript)
        files = [path for path in session.folders.root.rglob("*") if path.is_file()]
        assert len(files) >= 3
        assert [path for path in files if MARKER.encode() in path.read_bytes()] == []
    given = repr([provider.created for provider in providers.values()])
    assert MARKER in given  # the providers did get it: the search above could have found it


def test_a_second_plan_changes_nothing_and_destroy_leaves_nothing(project):
    providers = recording()
    secrets = {"slipway:hfToken": MARKER}
    with Offline(
        "test", dict(Stack().config), project=project(PROGRAM), providers=providers, secrets=secrets
    ) as session:
        applied = session.up()
        assert {resource.change for resource in applied.resources} == {"create"}
        assert applied.outputs["subnet"].startswith("subnet-")
        again = session.preview()
        assert {resource.change for resource in again.resources} == {"same"}
        gone = session.destroy()
        assert {resource.change for resource in gone.resources} == {"delete"}
        assert '"urn"' not in session.state()
    created = {urn for provider in providers.values() for urn in provider.created}
    deleted = {urn for provider in providers.values() for urn in provider.deleted}
    assert len(created) == 6
    assert deleted == created


def test_a_changed_input_is_an_update(project):
    providers = recording()
    size = [100]

    def program():
        aws.ec2.Instance("web", ami="ami-1", instance_type="g6.xlarge", root_block_device={"volume_size": size[0]})

    with Offline("test", {}, program=program, providers=providers) as session:
        session.up()
        size[0] = 200
        graph = session.preview()
    changes = {
        resource.name: resource.change for resource in graph.resources if not resource.type.startswith("pulumi:")
    }
    assert changes == {"web": "update"}


def test_plan_only_providers_refuse_to_create(project):
    folder = project('docker.Container("c", image="i")')
    with Offline("test", {}, project=folder) as session, pytest.raises(SlipwayError, match="planned offline"):
        session.up()


def test_mistakes_stop_an_up(project):
    folder = project('docker.Container("c", image="i", cpu_shares=1.5)')
    with (
        Offline("test", {}, project=folder, providers=recording()) as session,
        pytest.raises(SlipwayError, match=r"c\.cpuShares: must be a whole number"),
    ):
        session.up()
