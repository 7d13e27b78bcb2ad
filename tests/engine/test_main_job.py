"""The main job, end to end: the command, the shipped stacks, the examples, on the real engine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slipway import pipeline
from slipway.engine.graph import SECRET
from slipway.findings import Severity

pytestmark = pytest.mark.engine

PROJECT = Path(__file__).parents[2]
SHIPPED = ("local", "dev", "staging", "prod", "fleet")
EXAMPLES = sorted((PROJECT / "examples").glob("*.yaml"))
COMPLETE = {
    "local": {"docker:index/container:Container", "docker:index/network:Network", "docker:index/volume:Volume"},
    "dev": {
        "aws:autoscaling/group:Group",
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:iam/instanceProfile:InstanceProfile",
    },
    "prod": {
        "aws:ec2/vpc:Vpc",
        "aws:eks/cluster:Cluster",
        "aws:eks/nodeGroup:NodeGroup",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Service",
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:Secret",
    },
}


def slipway(*arguments: str, project: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "slipway", *arguments], cwd=project, capture_output=True, text=True, check=False
    )


def edited(stack: str, folder: Path, **values: object) -> Path:
    """A copy of a shipped stack's file with other values."""
    content = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())
    for key, value in values.items():
        content["config"][f"slipway:{key}"] = value
    path = folder / f"Pulumi.{stack}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_every_shipped_stack_plans_and_says_so_as_json_and_nothing_else():
    answer = slipway("plan", "--json")
    assert answer.returncode == 0, answer.stderr
    stacks = {stack["name"]: stack for stack in json.loads(answer.stdout)["stacks"]}
    assert set(stacks) == set(SHIPPED)
    for name, stack in stacks.items():
        assert [model["fits"] for model in stack["models"]] == [True] * len(stack["models"])
        assert stack["models"], name
        money = stack["monthly_usd"]
        assert 0 <= money["low"] <= money["typical"] <= money["high"]
        assert [found for found in stack["findings"] if found["severity"] == "error"] == []
    assert stacks["local"]["monthly_usd"]["high"] == 0
    assert stacks["prod"]["monthly_usd"]["low"] > 0


@pytest.mark.parametrize("name", COMPLETE)
def test_the_shipped_stacks_that_must_be_complete_are(name: str):
    stack = json.loads(slipway("plan", name, "--json").stdout)["stacks"][0]
    assert COMPLETE[name] <= set(stack["resources"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_plans(path: Path):
    (outcome,) = pipeline.analyse_all([str(path)], PROJECT, jobs=1, watch=lambda *_: None)
    assert isinstance(outcome, pipeline.Analysis), str(outcome.error)
    assert outcome.graph.count_by_type()
    assert [found for found in outcome.findings if found.severity is Severity.ERROR] == []


def test_there_is_an_example_for_each_platform_on_each_target_it_supports():
    seen = {
        (config["slipway:platform"], config.get("slipway:target", "instance"))
        for config in (yaml.safe_load(path.read_text())["config"] for path in EXAMPLES)
    }
    everywhere = {
        (platform, target) for platform in ("vllm", "ollama", "localai") for target in ("local", "instance", "cluster")
    }
    assert seen == everywhere | {("gpustack", "instance"), ("gpustack", "cluster")}
    assert len(EXAMPLES) >= 10


def test_a_gpu_too_small_stops_the_plan_and_the_suggestion_plans(tmp_path: Path):
    small = edited("prod", tmp_path, instanceTypes=["g4dn.xlarge"])
    answer = slipway("plan", str(small))
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    assert "llama-3.1-8b-instruct does not fit on g4dn.xlarge" in " ".join(answer.stderr.split())
    assert "kv cache needs 8.0 GiB" in " ".join(answer.stderr.split())
    assert "GiB too much" in " ".join(answer.stderr.split())
    assert "instanceTypes: [g6.xlarge]" in answer.stderr
    applied = edited("prod", tmp_path, instanceTypes=["g6.xlarge"])
    assert slipway("plan", str(applied)).returncode == 0


def test_a_bad_stack_is_one_clear_message_per_mistake_and_hides_no_other_stack(tmp_path: Path):
    bad = edited("dev", tmp_path, platform="olama", capacity={"markt": "spot"})
    answer = slipway("plan", str(bad), "local", "--json")
    assert answer.returncode == 1
    broken, fine = json.loads(answer.stdout)["stacks"]
    assert [(problem["key"], problem["nearest"]) for problem in broken["problems"]] == [
        ("slipway:capacity.markt", "market"),
        ("slipway:platform", "ollama"),
    ]
    assert fine["name"] == "local"
    assert fine["models"][0]["fits"] is True


def test_a_secret_of_the_stack_file_is_neither_decrypted_nor_shown(tmp_path: Path):
    """Planning a stack with secrets must need no passphrase: forks and reviewers have none."""
    path = edited("prod", tmp_path, hfToken={"secure": "v1:bm90IGEgcmVhbCBjaXBoZXI=:cGxhbnRlZA=="})
    (outcome,) = pipeline.analyse_all([str(path)], PROJECT, jobs=1, watch=lambda *_: None)
    assert isinstance(outcome, pipeline.Analysis), str(outcome.error)
    (secret,) = [
        found for found in outcome.graph.of_type("kubernetes:core/v1:Secret") if found.name == "serving-secrets"
    ]
    data = secret.inputs["stringData"]
    assert data is SECRET or set(data) == {"apiKey", "hfToken"}
    assert "bm90IGEgcmVhbCBjaXBoZXI" not in repr(outcome.graph)


def test_a_machine_in_an_adopted_network_plans_and_makes_no_subnet(tmp_path: Path):
    """What is read by its id has no inputs, and must not be checked as if it were to be made."""
    subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    path = edited("dev", tmp_path, network={"vpcId": "vpc-0123456789abcdef0", "privateSubnetIds": subnets})
    (outcome,) = pipeline.analyse_all([str(path)], PROJECT, jobs=1, watch=lambda *_: None)
    assert isinstance(outcome, pipeline.Analysis), str(outcome.error)
    assert {found.change for found in outcome.graph.of_type("aws:ec2/subnet:Subnet")} == {"read"}
    counted = outcome.graph.count_by_type()
    assert "aws:ec2/subnet:Subnet" not in counted
    assert counted["aws:autoscaling/group:Group"] == 1
