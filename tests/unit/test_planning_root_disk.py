"""The nodes' root disk follows from images, weights and pods."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway import catalog
from slipway.catalog.types import Platform
from slipway.planning import plan
from slipway.planning.root_disk import RootDisk, node_root_disk
from slipway.settings import read_stack

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
VLLM_GIB = 28.6e9 / 1024**3


def vllm(*, gib: float):
    return replace(catalog.release(Platform.VLLM), image_gib={"cuda": gib})


def test_the_newest_known_image_is_labelled_with_its_version_and_date():
    known = catalog.release(Platform.VLLM).known_images["cuda"]
    assert known.gib == pytest.approx(VLLM_GIB)
    assert (known.version, known.source.name, str(known.source.as_of)) == (
        "0.12.0",
        "vLLM pull request 22377",
        "2025-12-10",
    )


def test_a_figure_of_another_version_does_not_time_the_pull():
    assert catalog.release(Platform.VLLM).image_gib == {}


def test_vllm_takes_two_images_layers_caches_and_the_system():
    # (20 + 2.5 x 26.64 + 6) / 0.85 = 108.9
    assert node_root_disk(catalog.release(Platform.VLLM), "cuda", servers=1) == RootDisk(
        gib=110,
        how="two versions of vllm's image (26.6 GiB as of 0.12.0, vLLM pull request 22377, 2025-12-10): 53.3 unpacked, "
        "13.3 for layers while pulling; 6 for caches and files of 1 server; 20 for the system; 15% stay free, where "
        "the kubelet begins to delete images",
    )


def test_the_pinned_versions_own_figure_comes_before_any_other():
    # (20 + 2.5 x 10 + 6) / 0.85 = 60.0 exactly, so nothing is rounded up
    disk = node_root_disk(vllm(gib=10.0), "cuda", servers=1)
    assert disk.gib == 60
    assert disk.how.startswith(f"two versions of vllm {catalog.release(Platform.VLLM).version} (10.0 GiB): 20.0")


@pytest.mark.parametrize(
    ("gib", "servers", "weights", "expected"),
    [
        (10.1, 1, (), 70),  # 51.25 / 0.85 = 60.3
        (10.0, 4, (), 90),  # 69 / 0.85 = 81.2
        (10.0, 8, (), 110),  # 93 / 0.85 = 109.4
        (10.0, 1, (20.0, 14.0), 100),  # 85 / 0.85 = 100
        (0.0, 0, (), 30),  # 20 / 0.85 = 23.5
    ],
)
def test_the_disk_grows_with_image_servers_and_weights(
    gib: float, servers: int, weights: tuple[float, ...], expected: int
):
    assert node_root_disk(vllm(gib=gib), "cuda", servers=servers, weights_gib=weights).gib == expected


def test_an_unknown_image_is_a_named_reserve():
    # (20 + 2.5 x 18.63 + 6) / 0.85 = 85.4
    disk = node_root_disk(catalog.release(Platform.OLLAMA), "cuda", servers=1)
    assert disk.gib == 90
    assert "ollama's image, of unknown size (reserve of 18.6 GiB)" in disk.how


def test_gpustack_has_vllms_image_and_the_weights_beside_its_own():
    # (20 + 2.5 x (18.63 + 26.64) + 6 + 8) / 0.85 = 173.1
    disk = node_root_disk(catalog.release(Platform.GPUSTACK), "cuda", servers=1, weights_gib=(8.0,))
    assert disk.gib == 180
    assert "and of vllm's image (26.6 GiB" in disk.how
    assert "8.0 for weights" in disk.how


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("prod", 110),  # one vLLM server a node
        ("examples/vllm-three-models.yaml", 140),  # four servers a node: (20 + 66.6 + 24) / 0.85 = 130.1
        ("fleet", 180),  # GPUStack
        ("dev", 125),  # a single instance, whose image alone takes 75
        ("local", 0),
    ],
)
def test_the_plan_says_how_large_the_disk_is(stack: str, expected: int):
    settings = read_stack(str(PROJECT / stack) if "/" in stack else stack, PROJECT).settings
    assert plan(settings).root_disk_gib == expected
