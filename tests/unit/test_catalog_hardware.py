"""GPUs and instance types against AWS's own DescribeInstanceTypes answers, which moto ships."""

import gzip
import json
from importlib.resources import files
from typing import Any

import pytest

from slipway import catalog
from slipway.catalog.types import Arch, Market

pytestmark = pytest.mark.unit

ARCHITECTURES = {"x86_64": Arch.AMD64, "arm64": Arch.ARM64}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    packed = (files("moto") / "ec2" / "resources" / "instance_types.json.gz").read_bytes()
    return json.loads(gzip.decompress(packed))


def gpu_types() -> list[str]:
    return [name for name, facts in catalog.instance_types().items() if facts.gpu]


def test_at_least_sixty_gpu_types_and_all_wanted_families_are_known():
    families = {catalog.instance_types()[name].family for name in gpu_types()}
    assert len(gpu_types()) >= 60
    assert families >= {
        "g4dn", "g5", "g5g", "g6", "g6e", "g6f", "gr6", "g7e",
        "p3", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300",
    }  # fmt: skip


def test_shape_of_every_type_is_what_aws_answers(described: dict[str, Any]):
    checked = 0
    for name, facts in catalog.instance_types().items():
        if name not in described:
            continue
        answer = described[name]
        checked += 1
        assert facts.vcpus == answer["VCpuInfo"]["DefaultVCpus"], name
        assert facts.memory_gib * 1024 == answer["MemoryInfo"]["SizeInMiB"], name
        assert facts.arch == ARCHITECTURES[answer["ProcessorInfo"]["SupportedArchitectures"][-1]], name
        assert facts.local_nvme_gb == answer.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0), name
        efa = answer["NetworkInfo"].get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
        assert facts.efa_interfaces == efa, name
    assert checked >= len(catalog.instance_types()) - 3, "only the retired p3 is unknown to moto"


def test_gpu_count_and_memory_of_every_type_is_what_aws_answers(described: dict[str, Any]):
    for name in gpu_types():
        if name not in described:
            continue
        facts = catalog.instance_types()[name]
        assert facts.gpu is not None
        (answer,) = described[name]["GpuInfo"]["Gpus"]
        # AWS counts a slice of a GPU as none; here it is one GPU with a share below 1.
        assert facts.gpu_count == (answer["Count"] or 1), name
        assert (answer["Count"] == 0) == (facts.gpu.share < 1), name
        assert facts.gpu.aws_memory_mib == answer["MemoryInfo"]["SizeInMiB"], name


def test_types_without_a_gpu_have_none(described: dict[str, Any]):
    for name, facts in catalog.instance_types().items():
        if facts.gpu is None:
            assert facts.gpu_count == 0
            assert "GpuInfo" not in described[name], name


def test_what_the_driver_reports_is_less_than_aws_states():
    for gpu in catalog.gpus().values():
        aws_gib = gpu.aws_memory_mib / 1024
        assert 0.88 * aws_gib < gpu.memory_gib < aws_gib, gpu.name


@pytest.mark.parametrize(
    ("gpu", "memory_gib", "capability", "bandwidth_gb_s"),
    [
        ("T4", 14.56, (7, 5), 320),
        ("A10G", 22.30, (8, 6), 600),
        ("L4", 22.03, (8, 9), 300),
        ("L40S", 44.39, (8, 9), 864),
        ("H100-80", 79.18, (9, 0), 3350),
        ("B300", 267.69, (10, 3), 8000),
    ],
)
def test_measured_gpu_facts(gpu: str, memory_gib: float, capability: tuple[int, int], bandwidth_gb_s: float):
    facts = catalog.gpus()[gpu]
    assert (facts.memory_gib, facts.compute_capability, facts.bandwidth_gb_s) == (
        memory_gib,
        capability,
        bandwidth_gb_s,
    )


def test_a_slice_has_its_share_of_everything():
    whole = catalog.gpus()["L4"]
    for name, share in (("L4-1/2", 0.5), ("L4-1/4", 0.25), ("L4-1/8", 0.125)):
        part = catalog.gpus()[name]
        assert part.share == share
        assert part.bandwidth_gb_s == whole.bandwidth_gb_s * share
        assert part.fp16_tflops == whole.fp16_tflops * share
        assert part.memory_gib <= whole.memory_gib * share
        assert part.compute_capability == whole.compute_capability


def test_only_ada_and_later_have_fp8():
    for gpu in catalog.gpus().values():
        assert (gpu.fp8_tflops is not None) == gpu.supports((8, 9)), gpu.name


def test_allocatable_is_less_than_the_machine_has():
    for name, facts in catalog.instance_types().items():
        if facts.family == "p3":
            assert (facts.allocatable_memory_mib, facts.allocatable_cpu_milli, facts.max_pods) == (None, None, None)
            continue
        assert facts.allocatable_memory_mib is not None, name
        assert facts.allocatable_cpu_milli is not None, name
        assert facts.allocatable_memory_mib < facts.memory_gib * 1024, name
        assert facts.allocatable_cpu_milli < facts.vcpus * 1000, name


def test_allocatable_of_the_smallest_l4_node():
    """A pod asking 16 GiB or 4 cores never fits it."""
    facts = catalog.instance_types()["g6.xlarge"]
    assert (facts.allocatable_memory_mib, facts.allocatable_cpu_milli) == (14162, 3920)


@pytest.mark.parametrize(
    ("instance_type", "market", "code"),
    [
        ("g6.xlarge", Market.ON_DEMAND, "L-DB2E81BA"),
        ("gr6.4xlarge", Market.SPOT, "L-3819A6DF"),
        ("p4d.24xlarge", Market.SPOT, "L-7212CCBC"),
        ("p5en.48xlarge", Market.SPOT, "L-C4BD4855"),
        ("p5.4xlarge", Market.ON_DEMAND, "L-417A185B"),
        ("m7i.large", Market.ON_DEMAND, "L-1216C47A"),
        ("t3.large", Market.SPOT, "L-34B43A08"),
        # Sources disagree about P6 spot, so it is not stated.
        ("p6-b200.48xlarge", Market.SPOT, None),
    ],
)
def test_quota_code(instance_type: str, market: Market, code: str | None):
    assert catalog.quota_code(instance_type, market) == code


def test_every_fact_names_its_source():
    for facts in [*catalog.gpus().values(), *catalog.instance_types().values()]:
        assert facts.source.name
        assert 2024 <= facts.source.as_of.year <= 2026
