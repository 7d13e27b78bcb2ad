import pytest
from machine_plans import serving_plan, vllm_like

from slipway import catalog
from slipway.bootstrap import Disk, disks, machine_image
from slipway.settings.models import StorageSettings

pytestmark = pytest.mark.unit


def test_a_gpu_machine_boots_the_image_with_driver_and_docker():
    image = machine_image(catalog.instance_types()["g4dn.xlarge"])
    assert image.parameter == (
        "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    )
    assert (image.root_device, image.root_gib, image.packages) == ("/dev/sda1", 125, ())


@pytest.mark.parametrize(
    ("instance_type", "parameter"),
    [
        ("g5g.xlarge", "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"),
        ("c7g.xlarge", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"),
        ("c7i.4xlarge", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"),
    ],
)
def test_the_image_follows_architecture_and_gpu(instance_type: str, parameter: str):
    if instance_type not in catalog.instance_types():
        pytest.fail(f"the catalogue no longer has {instance_type}: choose another of its kind")
    assert machine_image(catalog.instance_types()[instance_type]).parameter == parameter


def test_the_data_disk_holds_what_must_outlive_the_machine():
    """Scratch and shared memory take no disk that survives; a volume two servers share is counted once."""
    plan = serving_plan()
    found = disks(plan, catalog.instance_types()["g4dn.xlarge"], [vllm_like(), vllm_like("embed")])
    assert found.data == Disk(size_gib=35, throughput_mib_s=250, iops=3000)
    assert found.root == Disk(size_gib=125, throughput_mib_s=250, iops=3000)


def test_throughput_brings_the_iops_that_gp3_asks_for():
    plan = serving_plan(storage=StorageSettings(throughput_mib_s=1000))
    assert disks(plan, catalog.instance_types()["g4dn.xlarge"], [vllm_like()]).data.iops == 4000
