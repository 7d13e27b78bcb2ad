"""What a user reads when a program asks for something that cannot be: the resource, the property, the way out."""

import pytest
from hand_made import Stack

from slipway.engine import preview
from slipway.problems import SlipwayError, StackError

pytestmark = pytest.mark.engine


def problems(folder):
    with pytest.raises(StackError) as caught:
        preview(Stack(), project=folder)
    return {problem.key: problem for problem in caught.value.problems}


def test_every_mistake_of_every_resource_is_reported_at_once(project):
    found = problems(
        project("""
        aws.ec2.Instance("web", ami="a", instance_type="g6.xlarge",
                         root_block_device={"encryptd": True, "volume_size": "big"})
        aws.ec2.Instance("other", instance_type="g6.xlarg", metadata_options={"http_tokens": "require"})
        aws.eks.NodeGroup("nodes", cluster_name="c", subnet_ids=["s"], node_role_arn="r",
                          scaling_config={"min_size": 1, "max_size": 2})
    """)
    )
    assert set(found) == {
        "web.rootBlockDevice.encryptd",
        "web.rootBlockDevice.volumeSize",
        "other.instanceType",
        "other.metadataOptions.httpTokens",
        "nodes.scalingConfig.desiredSize",
    }
    assert found["web.rootBlockDevice.encryptd"].nearest == "encrypted"
    assert found["web.rootBlockDevice.volumeSize"].given == "big"
    assert found["other.instanceType"].nearest == "g6.xlarge"
    assert found["other.metadataOptions.httpTokens"].allowed == ("optional", "required")
    assert "required, but missing" in found["nodes.scalingConfig.desiredSize"].message


def test_a_secret_value_that_is_refused_is_not_repeated(project):
    found = problems(
        project("""
        aws.ec2.Instance("web", instance_type=pulumi.Output.secret("marker-one"))
        aws.iam.Role("role", assume_role_policy=pulumi.Output.secret("marker-two"))
        aws.ec2.Vpc("vpc", cidr_block=pulumi.Output.secret("marker-three"))
        docker.Container("c", image="i", shm_size=pulumi.Output.secret("marker-four"))
        k8s.core.v1.Pod("pod", spec={"containers": [{"name": "a", "stdin": pulumi.Output.secret("marker-five")}]})
    """)
    )
    assert set(found) == {
        "web.instanceType",
        "role.assumeRolePolicy",
        "vpc.cidrBlock",
        "c.shmSize",
        "pod.spec.containers[0].stdin",
    }
    assert "marker" not in repr(found)
    assert {problem.given for problem in found.values()} == {"[secret]"}


def test_an_unknown_resource_type_names_the_nearest(project):
    found = problems(
        project("""
        class Wrong(pulumi.CustomResource):
            def __init__(self):
                super().__init__("aws:ec2/instanc:Instance", "x", {})
        Wrong()
        k8s.apiextensions.CustomResource("y", api_version="apps/v1", kind="Deploymnt")
    """)
    )
    assert found["x"].nearest == "aws:ec2/instance:Instance"
    assert found["y.kind"].nearest == "Deployment"


def test_the_configuration_of_a_provider_is_checked(project):
    found = problems(project('aws.Provider("p", region="us-east-1", assume_roles=[{"role_arnn": "x"}])'))
    assert found["p.assumeRoles[0].role_arnn"].nearest == "roleArn"


def test_the_text_of_a_run_error_reaches_the_user_as_it_is(project):
    with pytest.raises(SlipwayError) as caught:
        preview(Stack(), project=project('raise pulumi.RunError("first line\\nsecond line")'))
    assert str(caught.value) == "first line\nsecond line"


def test_a_stack_error_of_the_program_is_passed_on_whole(project):
    folder = project("""
        from slipway.problems import Problem, StackError
        raise StackError("test", [Problem(key="slipway:model", message="unknown", nearest="llama")])
    """)
    assert problems(folder)["slipway:model"].nearest == "llama"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("{}['key']", "__main__.py:8: KeyError: 'key'"),
        ("import sys; sys.exit(3)", "__main__.py:8: SystemExit: 3"),
        (
            "aws.iam.Role('r', assume_role_policy=pulumi.Output.from_input(1).apply(lambda _: {}['key']))",
            "__main__.py:8: KeyError: 'key'",
        ),
    ],
)
def test_an_unexpected_exception_is_told_with_its_place_and_no_traceback(project, monkeypatch, program, expected):
    folder = project(f"\n{program}")
    with pytest.raises(SlipwayError) as caught:
        preview(Stack(), project=folder)
    assert expected in str(caught.value)
    assert "Traceback" not in str(caught.value)
    monkeypatch.setenv("SLIPWAY_DEBUG", "1")
    with pytest.raises(SlipwayError, match="Traceback"):
        preview(Stack(), project=folder)


def test_a_provider_nobody_stands_in_for_is_named_without_trying_to_download_it(project):
    folder = project("""
        class Command(pulumi.CustomResource):
            def __init__(self):
                super().__init__("command:local:Command", "x", {})
        Command()
    """)
    with pytest.raises(SlipwayError, match="no resource plugin 'pulumi-resource-command'"):
        preview(Stack(), project=folder)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(None, "holds no Pulumi.yaml"), ("a: [", "is not valid YAML"), ("runtime: python", "names no project")],
)
def test_a_folder_that_is_no_project_is_told_so(tmp_path, settings, expected):
    if settings is not None:
        (tmp_path / "Pulumi.yaml").write_text(settings)
    with pytest.raises(SlipwayError, match=expected):
        preview(Stack(), project=tmp_path)


def test_a_stack_name_that_is_a_path_is_refused_before_anything_is_written(project, tmp_path):
    with pytest.raises(SlipwayError, match="is no name for a stack"):
        preview(Stack(name="../../escape"), project=project(""))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]
