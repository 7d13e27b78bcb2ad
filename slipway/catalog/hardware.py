"""GPUs and EC2 instance types, and the account quotas they count against."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from slipway.catalog._files import rows, source
from slipway.catalog.types import Arch, Gpu, InstanceType, Market, Quota


@cache
def gpus() -> Mapping[str, Gpu]:
    """Every GPU, by name. Memory is GiB as CUDA reports the device's total."""
    return MappingProxyType({row["gpu"]: _gpu(row) for row in rows("gpus.csv")})


@cache
def instance_types() -> Mapping[str, InstanceType]:
    """Every EC2 instance type, by name; GPU types first, small before large."""
    known = gpus()
    return MappingProxyType({row["instance_type"]: _instance_type(row, known) for row in rows("instance_types.csv")})


def quota_code(instance_type: str, market: Market) -> str | None:
    """The EC2 service quota, counted in vCPUs, that `instance_type` draws on; None where no source names it."""
    quota = quotas().get((_quota_class(instance_type), market))
    return quota.code if quota else None


@cache
def quotas() -> Mapping[tuple[str, Market], Quota]:
    """EC2 vCPU quotas by class of instance family (such as ``G``) and market."""
    found = {
        (row["class"], Market(row["market"])): Quota(code=row["code"], name=row["name"], source=source(row["source"]))
        for row in rows("quotas.csv")
    }
    return MappingProxyType(found)


def _quota_class(instance_type: str) -> str:
    family = instance_type.partition(".")[0]
    if family.startswith("g"):
        return "G"
    if family.startswith("p"):
        # On demand all P families share one quota; spot has one of its own from P5 on.
        return family[:2].upper()
    return "standard"


def _gpu(row: dict[str, str]) -> Gpu:
    major, _, minor = row["compute_capability"].partition(".")
    return Gpu(
        name=row["gpu"],
        memory_gib=float(row["memory_gib"]),
        aws_memory_mib=int(row["aws_memory_mib"]),
        compute_capability=(int(major), int(minor)),
        bandwidth_gb_s=float(row["bandwidth_gb_s"]),
        fp16_tflops=float(row["fp16_tflops"]),
        fp8_tflops=float(row["fp8_tflops"]) if row["fp8_tflops"] else None,
        share=float(row["share"]),
        source=source(row["memory_basis"]),
    )


def _instance_type(row: dict[str, str], known: Mapping[str, Gpu]) -> InstanceType:
    return InstanceType(
        name=row["instance_type"],
        arch=Arch(row["arch"]),
        vcpus=int(row["vcpus"]),
        memory_gib=float(row["memory_gib"]),
        gpu=known[row["gpu"]] if row["gpu"] else None,
        gpu_count=int(row["gpu_count"]),
        local_nvme_gb=int(row["local_nvme_gb"]),
        network_gbps=float(row["network_gbps"]),
        efa_interfaces=int(row["efa_interfaces"]),
        max_pods=_count(row["max_pods"]),
        allocatable_memory_mib=_count(row["allocatable_memory_mib"]),
        allocatable_cpu_milli=_count(row["allocatable_cpu_milli"]),
        source=source(row["source"]),
    )


def _count(text: str) -> int | None:
    return int(text) if text else None
