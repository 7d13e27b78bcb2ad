"""The shared model cache, down to each input AWS and the API server get."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from machine_plans import vllm_like
from recording import Recording, record

from components import targets
from components.model_cache import CacheKind, choose_cache
from components.serving_deployment import ServingDeployment, ServingDeploymentArgs
from components.shared_cache import SharedCache, SharedCacheArgs
from components.targets.cluster import shared_user
from slipway import catalog, platforms
from slipway.planning import plan
from slipway.planning.types import UpdateKind
from slipway.platforms.workload import Setup
from slipway.settings import read_stack
from slipway.settings.models import CachePlace

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
TAGS = {"slipway:stack": "prod"}


@cache
def made(*, protect: bool = True) -> Recording:
    args = SharedCacheArgs(
        vpc_id="vpc-1",
        subnet_ids=["subnet-a", "subnet-b"],
        client_security_group_id="sg-nodes",
        user=(2000, 0),
        protect=protect,
        tags=TAGS,
    )
    return record(lambda: SharedCache("cache", args))


@cache
def stack(reference: str) -> Recording:
    found = plan(read_stack(reference, PROJECT).settings)
    return record(lambda: targets.deploy(found, platforms.workloads(found), {}))


def efs(recording: Recording) -> list[str]:
    return [found.name for found in recording.resources if found.type.startswith("aws:efs/")]


def test_files_are_encrypted_elastic_and_stay_in_the_class_that_is_free_to_read():
    files = made().only("aws:efs/fileSystem:FileSystem")
    assert files.inputs == {
        "encrypted": True,
        "performanceMode": "generalPurpose",
        "throughputMode": "elastic",
        "tags": {**TAGS, "Name": "prod-cache-files"},
    }


def test_weights_can_be_downloaded_again_and_are_not_backed_up():
    backup = made().only("aws:efs/backupPolicy:BackupPolicy")
    assert backup.inputs == {"fileSystemId": "cache-files-id", "backupPolicy": {"status": "DISABLED"}}


@pytest.mark.parametrize("protect", [True, False])
def test_only_the_files_are_protected_and_only_when_asked(protect: bool):
    protected = {found.name for found in made(protect=protect).resources if found.protect}
    assert protected == ({"cache-files"} if protect else set())


def test_nodes_and_nobody_else_reach_it_by_nfs():
    firewall = made().only("aws:ec2/securityGroup:SecurityGroup")
    assert firewall.inputs["vpcId"] == "vpc-1"
    assert firewall.inputs["ingress"] == [
        {
            "protocol": "tcp",
            "fromPort": 2049,
            "toPort": 2049,
            "securityGroups": ["sg-nodes"],
            "description": "NFS from the cluster's nodes",
        }
    ]
    assert firewall.inputs["egress"] == []


def test_every_private_subnet_has_a_mount_target_behind_the_firewall():
    targets_made = made().of_type("aws:efs/mountTarget:MountTarget")
    assert [found.inputs for found in targets_made] == [
        {"fileSystemId": "cache-files-id", "subnetId": subnet, "securityGroups": ["cache-firewall-id"]}
        for subnet in ("subnet-a", "subnet-b")
    ]


def test_a_claim_gets_a_directory_of_its_own_that_only_the_servers_user_reads():
    found = made().only("kubernetes:storage.k8s.io/v1:StorageClass")
    assert found.inputs["provisioner"] == "efs.csi.aws.com"
    assert found.inputs["parameters"] == {
        "provisioningMode": "efs-ap",
        "fileSystemId": "cache-files-id",
        "directoryPerms": "700",
        "uid": "2000",
        "gid": "0",
    }
    assert "mountOptions" not in found.inputs  # the driver's own default is TLS
    assert found.inputs["metadata"] == {"name": "efs-shared"}  # not the default class
    assert found.inputs["volumeBindingMode"] == "Immediate"


def test_nobody_mounts_before_the_mount_targets_are_there():
    found = made().only("kubernetes:storage.k8s.io/v1:StorageClass")
    assert found.depends_on >= {"cache-target-0", "cache-target-1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"subnet_ids": []}, "subnet_ids: got none"), ({"user": (-1, 0)}, "user: got -1:0")],
)
def test_arguments_that_cannot_work_are_refused(changes: dict[str, Any], message: str):
    good: dict[str, Any] = {
        "vpc_id": "v", "subnet_ids": ["s"], "client_security_group_id": "g", "user": (2000, 0),
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        SharedCacheArgs(**{**good, **changes})


def served(replicas: int) -> Recording:
    args = ServingDeploymentArgs(
        workload=replace(vllm_like("chat"), setup=Setup()),
        namespace="serving",
        replicas=replicas,
        cache=CacheKind.SHARED,
        update=UpdateKind.ONE_BY_ONE,
        node_selector={},
        secret_name="stack-secrets",
        protect=True,
    )
    return record(lambda: ServingDeployment("serving", args))


def test_weights_alone_are_shared_and_what_is_code_stays_in_the_pod():
    recording = served(replicas=3)
    claim = recording.only("kubernetes:core/v1:PersistentVolumeClaim")
    assert claim.name == "serving-cache-models"
    assert claim.protect is True
    assert claim.inputs["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "efs-shared",
        "resources": {"requests": {"storage": "30Gi"}},
    }
    assert "annotations" not in claim.inputs["metadata"]  # bound at once: an error shows here
    spec = recording.only("kubernetes:apps/v1:Deployment").inputs["spec"]
    assert spec["template"]["spec"]["volumes"][:3] == [
        {"name": "models", "persistentVolumeClaim": {"claimName": "serving-cache-models-autonamed"}},
        {"name": "compiled", "emptyDir": {"sizeLimit": "5Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "5Gi"}},
    ]
    assert spec["strategy"]["type"] == "RollingUpdate"
    requests = spec["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert requests["ephemeral-storage"] == "11Gi"  # 5 + 5, and 1 of logs


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (CachePlace.NODE, CacheKind.NODE_DISK),
        (CachePlace.VOLUME, CacheKind.CLAIM),
        (CachePlace.SHARED, CacheKind.SHARED),
    ],
)
def test_the_users_choice_is_followed_whatever_the_default_would_be(place: CachePlace, kind: CacheKind):
    for replicas_max in (1, 4):
        found = choose_cache(
            vllm_like(),
            replicas_max=replicas_max,
            instance_types=[catalog.instance_types()["g6.xlarge"]],
            root_disk_gib=100,
            place=place,
        )
        assert found is kind


def test_the_files_belong_to_the_one_user_of_all_servers():
    own = vllm_like()
    assert shared_user([own, own]) == own.user
    assert shared_user([replace(own, user=None)]) == (0, 0)
    with pytest.raises(ValueError, match="run as 2 users"):
        shared_user([own, replace(own, user=(1, 1))])


@pytest.mark.parametrize("reference", ["prod", "examples/vllm-eks-spot.yaml"])
def test_a_stack_that_shares_has_driver_files_and_claim_in_their_order(reference: str):
    recording = stack(reference)
    addon = recording.named("cluster-aws-efs-csi-driver").inputs
    assert addon["addonName"] == "aws-efs-csi-driver"
    (association,) = addon["podIdentityAssociations"]
    assert association["serviceAccount"] == "efs-csi-controller-sa"
    attachment = recording.named("cluster-aws-efs-csi-driver-role-AmazonEFSCSIDriverPolicy")
    assert attachment.inputs["policyArn"] == "arn:aws:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy"
    targets_made = recording.of_type("aws:efs/mountTarget:MountTarget")
    subnets = [found for found in recording.of_type("aws:ec2/subnet:Subnet") if "private" in found.name]
    assert [found.inputs["subnetId"] for found in targets_made] == [f"{found.name}-id" for found in subnets]
    firewall = recording.named("shared-cache-firewall")
    assert firewall.inputs["ingress"][0]["securityGroups"] == ["cluster-cluster-group-id"]
    # A claim is deleted by the driver, so the driver outlives it.
    server = recording.only("slipway:index:ServingDeployment")
    assert server.depends_on >= {"cluster-aws-efs-csi-driver", "shared-cache-storage-class", "shared-cache-target-1"}


@pytest.mark.parametrize("reference", ["fleet", "examples/ollama-cluster.yaml"])
def test_a_stack_that_does_not_share_has_neither_driver_nor_files(reference: str):
    recording = stack(reference)
    assert efs(recording) == []
    assert recording.of_type("slipway:index:SharedCache") == []
    addons = {found.inputs["addonName"] for found in recording.of_type("aws:eks/addon:Addon")}
    assert "aws-efs-csi-driver" not in addons
