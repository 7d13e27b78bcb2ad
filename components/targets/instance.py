"""Target `instance`: one EC2 machine, in a small network of its own or in one that is there."""

from collections.abc import Mapping, Sequence

import pulumi

from components.gpu_instance import GpuInstance, GpuInstanceArgs, MachineSubnet
from components.network import Nat, Network
from components.targets import Deployed
from components.targets.networks import network_of
from slipway.planning.types import ServingPlan
from slipway.platforms.workload import Workload


def deploy(plan: ServingPlan, workloads: Sequence[Workload], secrets: Mapping[str, pulumi.Output[str]]) -> Deployed:
    """A machine that nothing reaches from the network, and that reaches out by itself."""
    # Public subnets without NAT.
    network = Network("network", network_of(plan, zones=plan.zones, nat=Nat.NONE))
    adopted = plan.settings.network.vpc_id is not None
    subnets = [MachineSubnet(zone=zone, subnet_id=subnet) for zone, subnet in network.public_subnets.items()]
    if adopted:
        subnets = [MachineSubnet(subnet_id=subnet) for subnet in network.private_subnet_ids()]
    machine = GpuInstance(
        "server",
        GpuInstanceArgs(
            plan=plan,
            workloads=workloads,
            vpc_id=network.vpc_id,
            subnets=subnets,
            # A public address costs a tenth of a NAT gateway; the firewall lets nothing in either way.
            public_ip=not adopted,
            secrets=secrets,
            after=[network],
        ),
    )
    return Deployed(
        endpoints=machine.endpoints,
        models=machine.models,
        connect=machine.connect,
        more={"log_group": machine.log_group},
    )
