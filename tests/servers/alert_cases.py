"""For each alert: series that must make it fire, and series close by that must not.

Values are promtool's: `0x9` is ten zeros, `0+6x9` rises by 6 each minute, `_x9` is no sample. One sample a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HOURS = "x1000"  # longer than any alert waits
ENGINE = 'slipway_role="engine",slipway_server="llama-3-1-8b-instruct",pod="a",instance="10.0.0.1:8000"'
OTHER = 'slipway_role="engine",slipway_server="llama-3-1-8b-instruct",pod="b",instance="10.0.0.2:8000"'
MODEL = f'{{{ENGINE},model_name="llama-3.1-8b-instruct",engine="0"}}'
FINISHED = f'vllm:request_success_total{{{ENGINE},model_name="llama-3.1-8b-instruct",finished_reason="%s"}}'
BUCKET = f'vllm:time_to_first_token_seconds_bucket{{{ENGINE},model_name="llama-3.1-8b-instruct",le="%s"}}'
GATEWAY = 'up{slipway_role="gateway",slipway_server="router",pod="g"}'
TOTAL = 'litellm_proxy_total_requests_metric_total{status_code="200"}'
FAILED = 'litellm_proxy_failed_requests_metric_total{exception_status="%s"}'
GPU = '{gpu="0",UUID="GPU-1",Hostname="node-1",modelName="NVIDIA L4"}'
SERVING = 'namespace="serving",deployment="llama-3-1-8b-instruct"'
OLLAMA = 'kube_deployment_status_replicas_available{namespace="serving",deployment="ollama"}'
POD = 'namespace="serving",pod="a"'
VOLUME = "kubelet_volume_stats"
CLAIM = '{namespace="serving",persistentvolumeclaim="weights"}'
ROOT = '{instance="node-1",mountpoint="/",fstype="xfs",device="/dev/nvme0n1p1"}'
SPOT = 'kube_node_labels{node="%s",label_slipway_rung="spot"}'


@dataclass(frozen=True)
class Case:
    """One alert. `minute` is when it is looked at; `stack` is the one whose rules it is part of."""

    fires: Mapping[str, str]
    silent: Mapping[str, str]
    minute: int
    stack: str = "prod"


CASES: Mapping[str, Case] = {
    "EngineDown": Case(
        fires={f"up{{{ENGINE}}}": "1x9 0x9", f"up{{{OTHER}}}": "1x30"},
        silent={f"up{{{ENGINE}}}": "0x30", f"up{{{OTHER}}}": "1x30"},  # never was up: it starts
        minute=15,
    ),
    "EngineNotStarting": Case(
        fires={f"up{{{ENGINE}}}": f"0{HOURS}"},
        silent={f"up{{{ENGINE}}}": f"0x25 1{HOURS}"},
        minute=120,
    ),
    "ModelUnavailable": Case(
        fires={f"up{{{ENGINE}}}": "1x9 0x30", f"up{{{OTHER}}}": "1x9 _x30"},
        silent={f"up{{{ENGINE}}}": "1x9 0x30", f"up{{{OTHER}}}": "1x40"},
        minute=20,
    ),
    "ModelNotServed": Case(
        fires={f"up{{{ENGINE}}}": f"0{HOURS}"},
        silent={f"up{{{ENGINE}}}": f"1{HOURS}"},
        minute=120,
    ),
    "RequestsWaiting": Case(
        fires={f"vllm:num_requests_waiting{MODEL}": "9x20"},
        silent={f"vllm:num_requests_waiting{MODEL}": "8x20"},
        minute=10,
    ),
    "EngineStuck": Case(
        fires={f"vllm:num_requests_running{MODEL}": "3x40", f"vllm:generation_tokens_total{MODEL}": "500x40"},
        silent={f"vllm:num_requests_running{MODEL}": "3x40", f"vllm:generation_tokens_total{MODEL}": "0+60x40"},
        minute=30,
    ),
    "KvCacheNearlyFull": Case(
        fires={f"vllm:kv_cache_usage_perc{MODEL}": "0.97x30"},
        silent={f"vllm:kv_cache_usage_perc{MODEL}": "0.97x8 0.5 0.97x20"},  # a peak is no trouble
        minute=14,
    ),
    "RequestsPreempted": Case(
        fires={f"vllm:num_preemptions_total{MODEL}": "0+1x40"},
        silent={f"vllm:num_preemptions_total{MODEL}": "7x40"},
        minute=25,
    ),
    "FirstTokenSlow": Case(
        # 9 of 10 within 2.5 seconds, the tenth within 10.
        fires={BUCKET % "2.5": "0+9x40", BUCKET % "10": "0+10x40", BUCKET % "+Inf": "0+10x40"},
        silent={BUCKET % "2.5": "0+99x40", BUCKET % "10": "0+100x40", BUCKET % "+Inf": "0+100x40"},
        minute=30,
    ),
    "RequestsFailing": Case(
        fires={FINISHED % "stop": "0+98x40", FINISHED % "error": "0+2x40"},
        silent={FINISHED % "stop": "0+998x40", FINISHED % "error": "0+2x40", FINISHED % "abort": "0+500x40"},
        minute=20,
    ),
    "RequestsAborted": Case(
        fires={FINISHED % "stop": "0+8x40", FINISHED % "abort": "0+2x40"},
        silent={FINISHED % "stop": "0+98x40", FINISHED % "abort": "0+2x40"},
        minute=30,
    ),
    "GatewayDown": Case(fires={GATEWAY: "1x5 0x30"}, silent={GATEWAY: "1x40"}, minute=20),
    "GatewayErrors": Case(
        fires={TOTAL: "0+100x40", FAILED % "500": "0+10x40"},
        silent={TOTAL: "0+100x40", FAILED % "500": "0+1x40", FAILED % "429": "0+50x40"},  # a limit is no error of ours
        minute=20,
    ),
    "GatewayBackendDown": Case(
        fires={'litellm_deployment_state{litellm_model_name="m",api_base="http://a"}': "2x20"},
        silent={'litellm_deployment_state{litellm_model_name="m",api_base="http://a"}': "1x20"},
        minute=10,
    ),
    "GpuFault": Case(
        fires={f"DCGM_FI_DEV_XID_ERRORS{GPU}": "0x5 79x5"},
        silent={f"DCGM_FI_DEV_XID_ERRORS{GPU}": "0x5 31x5"},  # a program's own wrong address
        minute=8,
    ),
    "GpuMemoryFailing": Case(
        fires={f"DCGM_FI_DEV_ROW_REMAP_FAILURE{GPU}": "1x9"},
        silent={f"DCGM_FI_DEV_ROW_REMAP_FAILURE{GPU}": "0x9"},
        minute=5,
    ),
    "GpuHot": Case(
        fires={f"DCGM_FI_DEV_GPU_TEMP{GPU}": "88x20"},
        silent={f"DCGM_FI_DEV_GPU_TEMP{GPU}": "84x20"},
        minute=10,
    ),
    "GpuMemoryFull": Case(
        fires={f"DCGM_FI_DEV_FB_USED{GPU}": "22600x30", f"DCGM_FI_DEV_FB_FREE{GPU}": "100x30"},
        silent={f"DCGM_FI_DEV_FB_USED{GPU}": "20500x30", f"DCGM_FI_DEV_FB_FREE{GPU}": "2200x30"},
        minute=20,
    ),
    "GpuMetricsMissing": Case(fires={"up": "1x60"}, silent={f"DCGM_FI_DEV_GPU_UTIL{GPU}": "0x60"}, minute=45),
    "ServerUnavailable": Case(
        fires={OLLAMA: "1x9 0x20"},
        silent={OLLAMA: "0x30"},
        minute=20,
        stack="examples/ollama-cluster.yaml",
    ),
    "ReplicasMissing": Case(
        fires={
            f"kube_deployment_spec_replicas{{{SERVING}}}": f"2{HOURS}",
            f"kube_deployment_status_replicas_available{{{SERVING}}}": f"1{HOURS}",
        },
        silent={
            f"kube_deployment_spec_replicas{{{SERVING}}}": f"2{HOURS}",
            f"kube_deployment_status_replicas_available{{{SERVING}}}": f"1x20 2{HOURS}",
        },
        minute=120,
    ),
    "PodRestarting": Case(
        fires={f'kube_pod_container_status_restarts_total{{{POD},container="server"}}': "0x9 1x9 2x9 3x60"},
        silent={f'kube_pod_container_status_restarts_total{{{POD},container="server"}}': "0x9 1x60"},
        minute=50,
    ),
    "PodPending": Case(
        fires={f'kube_pod_status_phase{{{POD},phase="Pending"}}': "1x40"},
        silent={f'kube_pod_status_phase{{{POD},phase="Pending"}}': "1x15 0x40"},
        minute=30,
    ),
    "VolumeNearlyFull": Case(
        fires={
            f"kubelet_volume_stats_available_bytes{CLAIM}": "9x30",
            f"kubelet_volume_stats_capacity_bytes{CLAIM}": "100x30",
        },
        silent={
            f"kubelet_volume_stats_available_bytes{CLAIM}": "11x30",
            f"kubelet_volume_stats_capacity_bytes{CLAIM}": "100x30",
        },
        minute=20,
    ),
    "NodeDiskNearlyFull": Case(
        fires={f"node_filesystem_avail_bytes{ROOT}": "9x30", f"node_filesystem_size_bytes{ROOT}": "100x30"},
        silent={f"node_filesystem_avail_bytes{ROOT}": "11x30", f"node_filesystem_size_bytes{ROOT}": "100x30"},
        minute=20,
    ),
    "SpotCapacityLost": Case(
        # All spot nodes are gone at once, and a replica with them.
        fires={
            SPOT % "a": "1x20 _x30",
            SPOT % "b": "1x20 _x30",
            f"kube_deployment_status_replicas_unavailable{{{SERVING}}}": "0x20 1x30",
        },
        # A quiet hour: fewer nodes, nothing missing.
        silent={
            SPOT % "a": "1x50",
            SPOT % "b": "1x20 _x30",
            f"kube_deployment_status_replicas_unavailable{{{SERVING}}}": "0x50",
        },
        minute=32,
    ),
}
