"""The `instance` target: one EC2 machine that serves, replaced by itself where it is a spot one."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam import service_role
from components.naming import PACKAGE, named, stack_tags
from slipway.bootstrap import Disk, Machine, cloud_init, disks, host_ports, machine_image
from slipway.catalog.types import InstanceType, Market
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload

LOG_RETENTION_DAYS = 30
SECRET_RECOVERY_DAYS = 7
ALARM_PERIODS = 3
MACHINE_TAG = "slipway:machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSubnet:
    """A subnet a machine may start in. `zone` is None where it is not known; then AWS is asked."""

    subnet_id: pulumi.Input[str]
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInstanceArgs:
    """What to run, and where."""

    plan: ServingPlan
    """The plan the workloads were made from."""
    workloads: Sequence[Workload]
    """The servers, one container each."""
    vpc_id: pulumi.Input[str]
    """Network of the machine."""
    subnets: Sequence[MachineSubnet]
    """Preferred first. A spot machine may start in any of them, an on-demand one in the first."""
    public_ip: bool = True
    """Whether the subnets reach the internet by public addresses; False behind a NAT gateway. Nothing comes in."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """The stack's secrets by name; those a workload refers to must be here."""
    after: Sequence[pulumi.Resource] = ()
    """What must be there before the machine starts, such as the network with its routes."""

    def __post_init__(self) -> None:
        problems = [
            f"secrets: {workload.name} needs {entry.secret}"
            for workload in self.workloads
            for entry in workload.secret_env
            if entry.secret not in self.secrets
        ]
        if not self.subnets:
            problems.append("subnets: at least one is needed")
        if self.plan.instance_type is None:
            problems.append("plan: names no instance type")
        if self.plan.region is None:
            problems.append("plan: names no region")
        if problems:
            raise ValueError("; ".join(problems))


class GpuInstance(pulumi.ComponentResource):
    """One machine, its data volume in each zone it may start in, and nothing that lets anybody in from the network.

    Spot: an Auto Scaling group of one, which replaces a machine that is taken away, in whichever zone and instance type
    has room. On demand: a plain instance. Both start from the same launch template, attach the data volume of their
    zone themselves, and read their own secrets and no others. People come in through SSM Session Manager.
    """

    connect: pulumi.Output[dict[str, str]]
    """Command that forwards a local port to the server, by server."""
    endpoints: pulumi.Output[dict[str, str]]
    """OpenAI-compatible base URL by server, while its command runs."""
    models: pulumi.Output[list[str]]
    """Names of the models that answer."""
    secret_arns: pulumi.Output[dict[str, str]]
    """Where each secret is kept in Secrets Manager, by name."""
    log_group: pulumi.Output[str]
    """CloudWatch log group of servers and boot."""

    def __init__(self, name: str, args: GpuInstanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:GpuInstance", name, {}, opts)
        if args.plan.instance_type is None or args.plan.region is None:
            raise ValueError("checked by GpuInstanceArgs")
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._instance_type: InstanceType = args.plan.instance_type
        self._region: str = args.plan.region
        self._image = machine_image(self._instance_type)
        self._disks = disks(args.plan, self._instance_type, args.workloads)
        self._spot = args.plan.capacity.market is Market.SPOT
        # What the role's permissions are limited to: this machine, whatever its id.
        self._machine = f"{args.plan.stack}-{name}"
        self._tags = {**stack_tags(args.plan.stack, args.plan.settings.tags), MACHINE_TAG: self._machine}
        # The zones the machine may start in, in the caller's order.
        self._subnets = args.subnets if self._spot else args.subnets[:1]

        self._logs = aws.cloudwatch.LogGroup(
            f"{name}-logs", retention_in_days=LOG_RETENTION_DAYS, tags=self._named("logs"), opts=self._child
        )
        self._secrets, versions = self._make_secrets()
        self.secret_arns = _resolved({key: secret.arn for key, secret in self._secrets.items()})
        self._volumes = self._make_volumes()
        self._security_group, way_out = self._make_security_group()
        self._profile, permissions = self._make_role()
        self._template = self._make_launch_template()
        # The machine reads its secrets and attaches its volume at boot: both must be there, reachable and allowed.
        ready = pulumi.ResourceOptions.merge(
            self._child,
            pulumi.ResourceOptions(depends_on=[*args.after, *versions, way_out, *permissions, *self._volumes]),
        )
        target = self._make_group(ready) if self._spot else self._make_instance(ready)

        ports = host_ports(args.workloads)
        public = {
            workload.name: ports[workload.name, port.name]
            for workload in args.workloads
            for port in workload.ports
            if port.public
        }
        self.connect = target.apply(
            lambda machine: {server: _forward(self._region, machine, port) for server, port in public.items()}
        )
        self.endpoints = pulumi.Output.from_input(
            {server: f"http://127.0.0.1:{port}/v1" for server, port in public.items()}
        )
        self.models = pulumi.Output.from_input([model for item in args.workloads for model in item.served_models])
        self.log_group = self._logs.name
        self.register_outputs(
            {
                "connect": self.connect,
                "endpoints": self.endpoints,
                "models": self.models,
                "secret_arns": self.secret_arns,
                "log_group": self.log_group,
            }
        )

    def _make_secrets(self) -> tuple[dict[str, aws.secretsmanager.Secret], list[pulumi.Resource]]:
        """The secrets a workload refers to, and no others."""
        needed = sorted({entry.secret for workload in self._args.workloads for entry in workload.secret_env})
        secrets: dict[str, aws.secretsmanager.Secret] = {}
        versions: list[pulumi.Resource] = []
        for key in needed:
            suffix = f"{self._name}-{_kebab(key)}"
            secrets[key] = aws.secretsmanager.Secret(
                suffix,
                description=f"{key} of stack {self._args.plan.stack}",
                recovery_window_in_days=SECRET_RECOVERY_DAYS,
                tags=self._named(_kebab(key)),
                opts=self._child,
            )
            versions.append(
                aws.secretsmanager.SecretVersion(
                    f"{suffix}-value",
                    secret_id=secrets[key].id,
                    secret_string=pulumi.Output.secret(self._args.secrets[key]),
                    opts=self._child,
                )
            )
        return secrets, versions

    def _make_volumes(self) -> list[aws.ebs.Volume]:
        """The data volume of each zone a machine may start in: a volume cannot leave its zone."""
        data = self._disks.data
        keep = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(protect=self._args.plan.settings.protect)
        )
        return [
            aws.ebs.Volume(
                f"{self._name}-data-{subnet.zone or index}",
                availability_zone=subnet.zone or self._zone_of(index, subnet),
                size=data.size_gib,
                type="gp3",
                iops=data.iops,
                throughput=data.throughput_mib_s,
                encrypted=True,
                tags=self._named("data"),
                opts=keep,
            )
            for index, subnet in enumerate(self._subnets)
        ]

    def _zone_of(self, index: int, subnet: MachineSubnet) -> pulumi.Output[str]:
        found = aws.ec2.Subnet.get(f"{self._name}-subnet-{index}", subnet.subnet_id, opts=self._child)
        return found.availability_zone

    def _named(self, suffix: str) -> dict[str, str]:
        return named(self._tags, f"{self._name}-{suffix}")

    def _make_security_group(self) -> tuple[aws.ec2.SecurityGroup, pulumi.Resource]:
        """Nothing in. Out only HTTPS, which is all that Systems Manager, registries and model hubs speak."""
        group = aws.ec2.SecurityGroup(
            f"{self._name}-firewall",
            description="Slipway machine: nothing in, HTTPS out",
            vpc_id=self._args.vpc_id,
            ingress=[],
            revoke_rules_on_delete=True,
            tags=self._named("firewall"),
            opts=self._child,
        )
        https = aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-https-out",
            security_group_id=group.id,
            description="HTTPS",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4="0.0.0.0/0",
            tags=self._named("https-out"),
            opts=self._child,
        )
        return group, https

    def _make_role(self) -> tuple[aws.iam.InstanceProfile, list[pulumi.Resource]]:
        found = service_role(
            f"{self._name}-role",
            service="ec2.amazonaws.com",
            policies=["AmazonSSMManagedInstanceCore"],
            description="Slipway machine",
            tags=self._named("role"),
            opts=self._child,
        )
        own = aws.iam.RolePolicy(
            f"{self._name}-permissions",
            role=found.role.name,
            policy=pulumi.Output.json_dumps(
                _policy(
                    permissions(
                        secret_arns=[secret.arn for secret in self._secrets.values()],
                        volume_arns=[volume.arn for volume in self._volumes],
                        log_group_arn=self._logs.arn,
                        machine=self._machine,
                    )
                )
            ),
            opts=self._child,
        )
        profile = aws.iam.InstanceProfile(
            f"{self._name}-profile", role=found.role.name, tags=self._named("profile"), opts=self._child
        )
        return profile, [*found.attachments, own]

    def _make_launch_template(self) -> aws.ec2.LaunchTemplate:
        # Amazon renews the image every few weeks: resolved when the template is made, kept after that.
        image_id = aws.ssm.get_parameter_output(
            name=self._image.parameter, opts=pulumi.InvokeOutputOptions(parent=self)
        ).value
        root = self._disks.root
        interface = aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            device_index=0,
            associate_public_ip_address=str(self._args.public_ip).lower(),
            delete_on_termination="true",
            security_groups=[self._security_group.id],
            # The group chooses among its subnets; a single instance has one.
            subnet_id=None if self._spot else self._subnets[0].subnet_id,
        )
        return aws.ec2.LaunchTemplate(
            f"{self._name}-template",
            description=f"Slipway machine of stack {self._args.plan.stack}",
            image_id=pulumi.Output.unsecret(image_id),
            instance_type=self._instance_type.name,
            user_data=self._user_data(),
            update_default_version=True,
            iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=self._profile.arn),
            network_interfaces=[interface],
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=1,  # containers never reach the role's credentials
                instance_metadata_tags="disabled",
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=self._image.root_device, ebs=_root_volume(root)
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=self._named("machine"))
                for kind in ("instance", "volume", "network-interface")
            ],
            tags=self._named("template"),
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(ignore_changes=["imageId"])),
        )

    def _user_data(self) -> pulumi.Output[str]:
        """Base64, as a launch template wants it. Ids and names only; secrets are fetched at boot."""

        def render(log_group: str, volumes: Mapping[str, str], secret_arns: Mapping[str, str]) -> str:
            machine = Machine(
                stack=self._args.plan.stack,
                region=self._region,
                log_group=log_group,
                volumes=volumes,
                secret_arns=secret_arns,
                packages=self._image.packages,
                gpu=self._instance_type.gpu is not None,
            )
            return base64.b64encode(cloud_init(machine, self._args.workloads).encode()).decode()

        # Once with names as long as real ones: text that is too long is found while planning, not while creating.
        zones = [f"{self._region}{letter}" for letter in "abcdef"[: len(self._volumes)]]
        render("x" * 64, dict.fromkeys(zones, "vol-" + "0" * 17), dict.fromkeys(self._secrets, "x" * 128))
        return pulumi.Output.all(
            self._logs.name,
            pulumi.Output.all(*(volume.availability_zone for volume in self._volumes)),
            pulumi.Output.all(*(volume.id for volume in self._volumes)),
            self.secret_arns,
        ).apply(lambda found: render(found[0], dict(zip(found[1], found[2], strict=True)), found[3]))

    def _make_group(self, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """Spot: the group looks for the pool least likely to be taken away, and starts a successor before it is."""
        args = self._args
        group = aws.autoscaling.Group(
            f"{self._name}-group",
            min_size=1,
            max_size=1,
            desired_capacity=1,
            capacity_rebalance=True,
            vpc_zone_identifiers=[subnet.subnet_id for subnet in self._subnets],
            health_check_type="EC2",
            mixed_instances_policy=aws.autoscaling.GroupMixedInstancesPolicyArgs(
                instances_distribution=aws.autoscaling.GroupMixedInstancesPolicyInstancesDistributionArgs(
                    on_demand_base_capacity=0,
                    on_demand_percentage_above_base_capacity=0,
                    spot_allocation_strategy="price-capacity-optimized",
                ),
                launch_template=aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateArgs(
                    launch_template_specification=aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateLaunchTemplateSpecificationArgs(
                        launch_template_id=self._template.id,
                        version=self._template.latest_version.apply(str),
                    ),
                    overrides=[
                        aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateOverrideArgs(
                            instance_type=instance_type.name
                        )
                        for instance_type in args.plan.instance_types
                    ],
                ),
            ),
            # A change of the template replaces the machine; one machine leaves no choice but to stop it first.
            instance_refresh=aws.autoscaling.GroupInstanceRefreshArgs(
                strategy="Rolling",
                preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(min_healthy_percentage=0),
            ),
            tags=[
                aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=False)
                for key, value in self._named("group").items()
            ],
            opts=opts,
        )
        self._alarm({"AutoScalingGroupName": group.name}, metric="StatusCheckFailed", actions=[])
        return group.name.apply(lambda name: _member(self._region, name))

    def _make_instance(self, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        instance = aws.ec2.Instance(
            f"{self._name}-instance",
            instance_type=self._instance_type.name,
            launch_template=aws.ec2.InstanceLaunchTemplateArgs(
                id=self._template.id, version=self._template.latest_version.apply(str)
            ),
            tags=self._named("machine"),
            # A machine reads its user data once: a new version of the template means a new machine.
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(replace_on_changes=["launchTemplate"])),
        )
        self._alarm(
            {"InstanceId": instance.id},
            metric="StatusCheckFailed_Instance",
            actions=[f"arn:aws:automate:{self._region}:ec2:reboot"],
        )
        return instance.id

    def _alarm(self, dimensions: Mapping[str, pulumi.Input[str]], *, metric: str, actions: Sequence[str]) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-health",
            alarm_description="The machine does not pass EC2's status checks.",
            namespace="AWS/EC2",
            metric_name=metric,
            dimensions=dimensions,
            statistic="Maximum",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            period=60,
            evaluation_periods=ALARM_PERIODS,
            treat_missing_data="missing",
            alarm_actions=list(actions),
            tags=self._named("health"),
            opts=self._child,
        )


def permissions(
    *, secret_arns: Sequence[Any], volume_arns: Sequence[Any], log_group_arn: Any, machine: str
) -> list[dict[str, Any]]:
    """What the machine's role may do besides being reachable: its own secrets, volumes, logs and metrics."""
    read_secrets = {"Action": "secretsmanager:GetSecretValue", "Resource": list(secret_arns)}
    return [
        *([read_secrets] if secret_arns else []),
        {"Action": "ec2:AttachVolume", "Resource": list(volume_arns)},
        {
            "Action": "ec2:AttachVolume",
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {"StringEquals": {f"aws:ResourceTag/{MACHINE_TAG}": machine}},
        },
        {
            "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            "Resource": [log_group_arn, pulumi.Output.concat(log_group_arn, ":*")],
        },
        {
            # CloudWatch has no resources to name for metrics; the namespace is the limit.
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": "Slipway"}},
        },
    ]


def _policy(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}


def _root_volume(disk: Disk) -> aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs:
    return aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
        volume_type="gp3",
        volume_size=disk.size_gib,
        iops=disk.iops,
        throughput=disk.throughput_mib_s,
        encrypted="true",
        delete_on_termination="true",
    )


def _forward(region: str, machine: str, port: int) -> str:
    return (
        f"aws ssm start-session --region {region} --target {machine} "
        "--document-name AWS-StartPortForwardingSession "
        f"--parameters portNumber={port},localPortNumber={port}"
    )


def _member(region: str, group: str) -> str:
    """The running machine of a group, as a shell expression: its id changes whenever it is replaced."""
    return (
        f'"$(aws ec2 describe-instances --region {region} '
        f"--filters Name=tag:aws:autoscaling:groupName,Values={group} Name=instance-state-name,Values=running "
        """--query 'Reservations[0].Instances[0].InstanceId' --output text)\""""
    )


def _resolved(values: Mapping[str, pulumi.Output[str]]) -> pulumi.Output[dict[str, str]]:
    return pulumi.Output.all(*values.values()).apply(lambda found: dict(zip(values, found, strict=True)))


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
