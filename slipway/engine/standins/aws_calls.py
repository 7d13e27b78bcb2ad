"""Which AWS call each resource's inputs end up in, and where the names differ. Data only; `aws_api` reads it.

Names that agree but for their case need no entry. An alias of None means: the call has something else under this name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Call:
    """An operation of a service. `within` is the member that holds the inputs, if not the request itself."""

    service: str
    operation: str
    within: str | None = None
    aliases: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


CALLS: Final[Mapping[str, Call]] = {
    "aws:acm/certificate:Certificate": Call("acm", "RequestCertificate"),
    "aws:autoscaling/group:Group": Call(
        "autoscaling",
        "CreateAutoScalingGroup",
        aliases={
            "name": "AutoScalingGroupName",
            "vpcZoneIdentifiers": None,
            "targetGroupArns": "TargetGroupARNs",
            "initialLifecycleHooks": "LifecycleHookSpecificationList",
        },
    ),
    "aws:autoscaling/lifecycleHook:LifecycleHook": Call(
        "autoscaling", "PutLifecycleHook", aliases={"name": "LifecycleHookName"}
    ),
    "aws:autoscaling/policy:Policy": Call("autoscaling", "PutScalingPolicy", aliases={"name": "PolicyName"}),
    "aws:autoscaling/schedule:Schedule": Call("autoscaling", "PutScheduledUpdateGroupAction"),
    "aws:cloudwatch/eventRule:EventRule": Call("events", "PutRule"),
    "aws:cloudwatch/eventTarget:EventTarget": Call("events", "PutTargets", aliases={"arn": "Targets[].Arn"}),
    "aws:cloudwatch/logGroup:LogGroup": Call("logs", "CreateLogGroup", aliases={"name": "logGroupName"}),
    "aws:autoscaling/tag:Tag": Call("autoscaling", "CreateOrUpdateTags", aliases={"tag": "Tags[]"}),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Call("cloudwatch", "PutMetricAlarm", aliases={"name": "AlarmName"}),
    "aws:ebs/volume:Volume": Call("ec2", "CreateVolume", aliases={"type": "VolumeType"}),
    "aws:ec2/eip:Eip": Call("ec2", "AllocateAddress"),
    "aws:ec2/flowLog:FlowLog": Call("ec2", "CreateFlowLogs"),
    "aws:ec2/instance:Instance": Call(
        "ec2",
        "RunInstances",
        aliases={
            "ami": "ImageId",
            "monitoring": None,
            "iamInstanceProfile": None,
            "tenancy": "Placement.Tenancy",
            "rootBlockDevice": "BlockDeviceMappings[].Ebs",
            "ebsBlockDevices": "BlockDeviceMappings[].Ebs",
        },
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Call(
        "ec2", "CreateLaunchTemplate", within="LaunchTemplateData", aliases={"name": None, "iamInstanceProfile": None}
    ),
    "aws:ec2/natGateway:NatGateway": Call("ec2", "CreateNatGateway"),
    "aws:ec2/route:Route": Call("ec2", "CreateRoute"),
    "aws:ec2/securityGroup:SecurityGroup": Call("ec2", "CreateSecurityGroup", aliases={"name": "GroupName"}),
    "aws:ec2/subnet:Subnet": Call("ec2", "CreateSubnet"),
    "aws:ec2/vpc:Vpc": Call("ec2", "CreateVpc"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Call("ec2", "CreateVpcEndpoint"),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": Call("ecr", "CreatePullThroughCacheRule"),
    "aws:ecr/repository:Repository": Call("ecr", "CreateRepository", aliases={"name": "repositoryName"}),
    "aws:efs/backupPolicy:BackupPolicy": Call("efs", "PutBackupPolicy"),
    "aws:efs/fileSystem:FileSystem": Call("efs", "CreateFileSystem"),
    "aws:efs/mountTarget:MountTarget": Call("efs", "CreateMountTarget"),
    "aws:eks/accessEntry:AccessEntry": Call("eks", "CreateAccessEntry"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Call("eks", "AssociateAccessPolicy"),
    "aws:eks/addon:Addon": Call(
        "eks", "CreateAddon", aliases={"resolveConflictsOnCreate": "resolveConflicts", "podIdentityAssociations": None}
    ),
    "aws:eks/cluster:Cluster": Call(
        "eks",
        "CreateCluster",
        aliases={"vpcConfig": "resourcesVpcConfig", "enabledClusterLogTypes": "Logging.clusterLogging[].types"},
    ),
    "aws:eks/nodeGroup:NodeGroup": Call(
        "eks",
        "CreateNodegroup",
        aliases={"nodeGroupName": "nodegroupName", "nodeRoleArn": "nodeRole", "subnetIds": "subnets"},
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Call("eks", "CreatePodIdentityAssociation"),
    "aws:iam/instanceProfile:InstanceProfile": Call(
        "iam", "CreateInstanceProfile", aliases={"name": "InstanceProfileName"}
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Call(
        "iam", "CreateOpenIDConnectProvider", aliases={"clientIdLists": "ClientIDList"}
    ),
    "aws:iam/policy:Policy": Call("iam", "CreatePolicy", aliases={"name": "PolicyName", "policy": "PolicyDocument"}),
    "aws:iam/role:Role": Call(
        "iam", "CreateRole", aliases={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}
    ),
    "aws:iam/rolePolicy:RolePolicy": Call(
        "iam", "PutRolePolicy", aliases={"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"}
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Call("iam", "AttachRolePolicy", aliases={"role": None}),
    "aws:kms/alias:Alias": Call("kms", "CreateAlias", aliases={"name": "AliasName"}),
    "aws:kms/key:Key": Call("kms", "CreateKey", aliases={"customerMasterKeySpec": "KeySpec"}),
    "aws:lb/listener:Listener": Call("elbv2", "CreateListener"),
    "aws:lb/loadBalancer:LoadBalancer": Call(
        "elbv2", "CreateLoadBalancer", aliases={"loadBalancerType": "Type", "subnets": None, "securityGroups": None}
    ),
    "aws:lb/targetGroup:TargetGroup": Call("elbv2", "CreateTargetGroup"),
    "aws:rds/instance:Instance": Call(
        "rds", "CreateDBInstance", aliases={"identifier": "DBInstanceIdentifier", "instanceClass": "DBInstanceClass"}
    ),
    "aws:s3/bucket:Bucket": Call("s3", "CreateBucket"),
    "aws:secretsmanager/secret:Secret": Call("secretsmanager", "CreateSecret"),
    "aws:secretsmanager/secretVersion:SecretVersion": Call("secretsmanager", "PutSecretValue"),
    "aws:sns/topic:Topic": Call("sns", "CreateTopic"),
    "aws:sqs/queue:Queue": Call("sqs", "CreateQueue"),
    "aws:ssm/parameter:Parameter": Call("ssm", "PutParameter"),
}

INSTANCE_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:eks/nodeGroup:NodeGroup": ("instanceTypes[]",),
    "aws:autoscaling/group:Group": ("mixedInstancesPolicy.launchTemplate.overrides[].instanceType",),
}
"""Inputs that are EC2 instance types although their own call takes any text."""

POLICY_DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:iam/role:Role": ("assumeRolePolicy", "inlinePolicies[].policy"),
    "aws:iam/policy:Policy": ("policy",),
    "aws:iam/rolePolicy:RolePolicy": ("policy",),
    "aws:kms/key:Key": ("policy",),
    "aws:s3/bucketPolicy:BucketPolicy": ("policy",),
    "aws:secretsmanager/secretPolicy:SecretPolicy": ("policy",),
    "aws:sqs/queue:Queue": ("policy",),
    "aws:sqs/queuePolicy:QueuePolicy": ("policy",),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("policy",),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": ("policy",),
}
"""Inputs that are an IAM policy as JSON text."""

CIDRS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:ec2/vpc:Vpc": ("cidrBlock",),
    "aws:ec2/subnet:Subnet": ("cidrBlock",),
    "aws:ec2/route:Route": ("destinationCidrBlock",),
    "aws:ec2/securityGroup:SecurityGroup": ("ingress[].cidrBlocks[]", "egress[].cidrBlocks[]"),
    "aws:ec2/securityGroupRule:SecurityGroupRule": ("cidrBlocks[]",),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("cidrIpv4", "cidrIpv6"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ("cidrIpv4", "cidrIpv6"),
    "aws:eks/cluster:Cluster": ("vpcConfig.publicAccessCidrs[]", "kubernetesNetworkConfig.serviceIpv4Cidr"),
}
"""Inputs that are address ranges; the service models take them as any text."""

USER_DATA: Final[Mapping[str, tuple[str, bool]]] = {
    "aws:ec2/instance:Instance": ("userData", False),
    "aws:ec2/launchTemplate:LaunchTemplate": ("userData", True),
}
"""Where user data stands, and whether it must already be base64."""
