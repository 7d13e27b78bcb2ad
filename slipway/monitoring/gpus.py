"""Rules about GPUs, by the counters DCGM exporter's chart turns on."""

from slipway.monitoring.rules import Alert, Group, Severity

# NVIDIA's device plugin takes these as the application's own fault, not the GPU's.
APPLICATION_XIDS = (13, 31, 43, 45, 68, 109)
HOT_CELSIUS = 85
FULL_SHARE = 0.98
_GPU = "GPU {{ $labels.gpu }} of {{ $labels.Hostname }}"


def gpu_group() -> Group:
    """Faults, heat and memory of GPUs."""
    used = "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)"
    return Group(
        name="slipway-gpus",
        rules=(
            Alert(
                name="GpuFault",
                severity=Severity.CRITICAL,
                # The gauge keeps the last error until the exporter restarts, so a fault stays until the node is gone.
                expression=" != ".join(["DCGM_FI_DEV_XID_ERRORS > 0", *map(str, APPLICATION_XIDS)]),
                for_seconds=0,
                summary=f"{_GPU} has a fault",
                description="The driver reported XID {{ $value }} ({{ $labels.modelName }}, {{ $labels.UUID }}).",
            ),
            Alert(
                name="GpuMemoryFailing",
                severity=Severity.CRITICAL,
                expression="DCGM_FI_DEV_ROW_REMAP_FAILURE > 0",
                for_seconds=0,
                summary=f"Memory of {_GPU} is worn out",
                description="A broken row of {{ $labels.UUID }} could not be replaced by a spare one.",
            ),
            Alert(
                name="GpuHot",
                severity=Severity.WARNING,
                expression=f"DCGM_FI_DEV_GPU_TEMP > {HOT_CELSIUS}",
                for_seconds=300,
                summary=f"{_GPU} is hot",
                description="It has been {{ $value }} degrees Celsius or more for 5 minutes, and clocks down soon.",
            ),
            Alert(
                name="GpuMemoryFull",
                severity=Severity.WARNING,
                expression=f"{used} > {FULL_SHARE}",
                for_seconds=600,
                summary=f"Memory of {_GPU} is full",
                description="{{ $value | humanizePercentage }} is taken, more than any plan leaves to an engine.",
            ),
            Alert(
                name="GpuMetricsMissing",
                severity=Severity.WARNING,
                expression="absent(DCGM_FI_DEV_GPU_UTIL)",
                for_seconds=1800,
                summary="No GPU reports metrics",
                description="DCGM exporter runs nowhere or sees no GPU; faults would go unnoticed.",
            ),
        ),
    )
