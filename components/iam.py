"""Roles for AWS services: who may take them, and AWS's managed policies, attached one by one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

ASSUME = ("sts:AssumeRole",)
# EKS Pod Identity also tags the session with cluster, namespace and service account.
ASSUME_AND_TAG = ("sts:AssumeRole", "sts:TagSession")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRole:
    """A role and its attachments; what uses the role must wait for the attachments, and be deleted before them."""

    role: aws.iam.Role
    attachments: tuple[aws.iam.RolePolicyAttachment, ...]

    @property
    def arn(self) -> pulumi.Output[str]:
        """The role's ARN."""
        return self.role.arn


def trust_policy(service: str, actions: Sequence[str] = ASSUME) -> str:
    """Lets one AWS service take a role, and nobody else."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def managed_policy_arn(policy: str) -> str:
    """The ARN of a policy AWS maintains, such as ``AmazonEKSClusterPolicy``."""
    return f"arn:aws:iam::aws:policy/{policy}"


def pod_identity(
    name: str,
    *,
    cluster_name: pulumi.Input[str],
    namespace: str,
    service_account: str,
    role_arn: pulumi.Input[str],
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> aws.eks.PodIdentityAssociation:
    """Gives the pods of one service account a role, by the agent on each node."""
    return aws.eks.PodIdentityAssociation(
        name,
        cluster_name=cluster_name,
        namespace=namespace,
        service_account=service_account,
        role_arn=role_arn,
        tags=dict(tags),
        opts=opts,
    )


def service_role(
    name: str,
    *,
    service: str,
    policies: Sequence[str],
    description: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
    actions: Sequence[str] = ASSUME,
) -> ServiceRole:
    """A role for `service` with AWS's managed `policies`, each named by its path, such as ``service-role/X``."""
    role = aws.iam.Role(
        name, description=description, assume_role_policy=trust_policy(service, actions), tags=dict(tags), opts=opts
    )
    attachments = tuple(
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy.rpartition('/')[2]}", role=role.name, policy_arn=managed_policy_arn(policy), opts=opts
        )
        for policy in policies
    )
    return ServiceRole(role=role, attachments=attachments)
