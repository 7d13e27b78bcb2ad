"""What AWS and Kubernetes do not charge for, each with the reason. What is not named here is never taken as free."""

from collections.abc import Mapping

_IAM = "IAM is free"
_NETWORK = "VPC building blocks are free; gateways, addresses and traffic are priced on their own"
_ON_NODES = "runs on, or only describes, machines that are priced as machines"
_SETTING = "a setting of a resource that is priced on its own"
_LOCAL = "runs on the user's own machine"
_VALUE = "a value kept in the stack's state"

FAMILIES: Mapping[str, str] = {
    "aws:iam/": _IAM,
    "docker:": _LOCAL,
    "random:": _VALUE,
    "kubernetes:apps/v1:": _ON_NODES,
    "kubernetes:apiextensions.k8s.io/v1:": _ON_NODES,
    "kubernetes:autoscaling/": _ON_NODES,
    "kubernetes:batch/v1:": _ON_NODES,
    "kubernetes:core/v1:": _ON_NODES,
    "kubernetes:networking.k8s.io/v1:": _ON_NODES,
    "kubernetes:policy/v1:": _ON_NODES,
    "kubernetes:rbac.authorization.k8s.io/v1:": _ON_NODES,
    "kubernetes:scheduling.k8s.io/v1:": _ON_NODES,
    "kubernetes:storage.k8s.io/v1:": _ON_NODES,
    "kubernetes:monitoring.coreos.com/v1:": _ON_NODES,
    "kubernetes:keda.sh/v1alpha1:": _ON_NODES,
    "kubernetes:karpenter.k8s.aws/v1:": "what nodes look like; they are priced with their pool",
}
"""Reasons by the beginning of a type token: whole families that are free."""

TYPES: Mapping[str, str] = {
    "aws:autoscaling/lifecycleHook:LifecycleHook": _SETTING,
    "aws:autoscaling/policy:Policy": _SETTING,
    "aws:autoscaling/tag:Tag": _SETTING,
    "aws:cloudwatch/eventRule:EventRule": "events that AWS's own services emit are free",
    "aws:cloudwatch/eventTarget:EventTarget": _SETTING,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _NETWORK,
    "aws:ec2/eipAssociation:EipAssociation": _SETTING,
    "aws:ec2/launchTemplate:LaunchTemplate": "its machines and disks are priced where it is used",
    "aws:ec2/mainRouteTableAssociation:MainRouteTableAssociation": _NETWORK,
    "aws:ec2/networkAcl:NetworkAcl": _NETWORK,
    "aws:ec2/placementGroup:PlacementGroup": _SETTING,
    "aws:ec2/route:Route": _NETWORK,
    "aws:ec2/routeTable:RouteTable": _NETWORK,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _NETWORK,
    "aws:ec2/securityGroup:SecurityGroup": _NETWORK,
    "aws:ec2/securityGroupRule:SecurityGroupRule": _NETWORK,
    "aws:ec2/subnet:Subnet": _NETWORK,
    "aws:ec2/volumeAttachment:VolumeAttachment": _SETTING,
    "aws:ec2/vpc:Vpc": _NETWORK,
    "aws:ec2/vpcEndpointRouteTableAssociation:VpcEndpointRouteTableAssociation": _NETWORK,
    "aws:efs/accessPoint:AccessPoint": _SETTING,
    "aws:efs/mountTarget:MountTarget": _SETTING,
    "aws:eks/accessEntry:AccessEntry": _SETTING,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _SETTING,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _SETTING,
    "aws:kms/alias:Alias": _SETTING,
    "aws:lb/listener:Listener": _SETTING,
    "aws:lb/listenerRule:ListenerRule": _SETTING,
    "aws:lb/targetGroup:TargetGroup": _SETTING,
    "aws:lb/targetGroupAttachment:TargetGroupAttachment": _SETTING,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _SETTING,
    "aws:s3/bucketPolicy:BucketPolicy": _SETTING,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _SETTING,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _SETTING,
    "aws:s3/bucketVersioning:BucketVersioning": _SETTING,
    "aws:secretsmanager/secretPolicy:SecretPolicy": _SETTING,
    "aws:secretsmanager/secretVersion:SecretVersion": _SETTING,
    "aws:sqs/queuePolicy:QueuePolicy": _SETTING,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _NETWORK,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _NETWORK,
}
"""Reasons by type token."""


def reason(type_token: str) -> str | None:
    """Why resources of this type are free; None where nobody said so."""
    if found := TYPES.get(type_token):
        return found
    return next((why for prefix, why in FAMILIES.items() if type_token.startswith(prefix)), None)
