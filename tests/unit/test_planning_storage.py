"""Where weights live: what the choice does to flags, host memory and cold start, and when it cannot work."""

from typing import Any

import pytest
from planning_stacks import planned, refused

from slipway.planning import coldstart, host
from slipway.planning.types import Budget, MemoryTerm
from slipway.platforms import workloads

pytestmark = pytest.mark.unit

SHARED: dict[str, Any] = {"storage": {"cache": "shared"}}
CHECKPOINT_GIB = 8.49


def host_terms(**changes: object) -> dict[str, MemoryTerm]:
    return {term.name: term for term in planned(**changes).models[0].memory.host.terms}


def test_weights_on_a_network_file_system_are_read_ahead_and_no_others_are():
    flags = planned(**SHARED).models[0].flags
    assert flags[flags.index("--safetensors-load-strategy") + 1] == "prefetch"
    assert "--safetensors-load-strategy" in planned(**SHARED).release.flags
    assert set(flags) - set(planned().models[0].flags) == {"--safetensors-load-strategy", "prefetch"}
    for cache in ("auto", "node"):
        assert planned(storage={"cache": cache}).models[0].flags == planned().models[0].flags


def test_read_ahead_takes_the_memory_a_small_machine_has_and_says_what_happens_to_the_rest():
    """g6.xlarge: 13.83 GiB allocatable less 0.75, 4 for the server and 2 of shared memory, leaves 7.08."""
    staging = host_terms(**SHARED)["staging"]
    assert round(staging.gib, 2) == 7.08
    assert staging.how == "page cache for 8.5 GiB read ahead from the shared cache, the kernel drops the rest"
    assert host_terms()["staging"].gib == host.LARGEST_SHARD_GIB
    assert planned(**SHARED).models[0].memory.host.fits


def test_read_ahead_takes_the_whole_checkpoint_where_it_fits_and_no_more():
    staging = host_terms(**SHARED, instanceTypes=("g6.2xlarge",))["staging"]
    assert round(staging.gib, 2) == CHECKPOINT_GIB
    assert staging.how == "page cache for 8.5 GiB read ahead from the shared cache, all"
    (server,) = workloads(planned(**SHARED, instanceTypes=("g6.2xlarge",)))
    assert server.memory_gib == 14.5  # 4 + 8.49 + 2, in steps of 0.25


def test_read_ahead_never_breaks_a_proof_that_holds_and_never_mends_one_that_does_not():
    for free in (-1.0, 0.0, 0.004, 3.0, 100.0):
        terms = (MemoryTerm(name="staging", gib=4.66, how="shard"),)
        before = Budget(available_gib=4.66 + free, available_how="", terms=terms)
        after = host.prefetched(before, 15.0)
        assert after.fits is before.fits
        assert before.used_gib <= after.used_gib <= 15.0


def test_a_checkpoint_of_one_small_shard_needs_nothing_more():
    terms = (MemoryTerm(name="staging", gib=0.9, how="shard"),)
    after = host.prefetched(Budget(available_gib=10, available_how="", terms=terms), 0.9)
    assert after.used_gib == 0.9


def test_the_first_download_and_every_load_run_at_efs_measured_speed_or_slower():
    """894 GiB in 43 minutes is 0.347 GiB/s; a gp3 volume was asked for 2000 MiB/s, which would not have been it."""
    phases = dict(planned(storage={"cache": "shared", "throughputMibS": 2000}).models[0].cold_start.phases)
    network = 2.5e9 / 8 / 1024**3
    assert phases["weights download"] == pytest.approx(CHECKPOINT_GIB / network, rel=1e-3)
    assert phases["load"] == pytest.approx(CHECKPOINT_GIB / coldstart.LOAD_GIB_PER_SECOND, rel=1e-3)
    fast = dict(planned(**SHARED, instanceTypes=("g6.12xlarge",)).models[0].cold_start.phases)
    assert fast["weights download"] == pytest.approx(CHECKPOINT_GIB / 0.3465, rel=1e-3)


def test_servers_share_the_hubs_files_and_keep_what_is_code_or_of_no_use_to_others():
    (shared,), (own,) = workloads(planned(**SHARED)), workloads(planned())
    assert shared.env["HF_HUB_CACHE"] == "/models/hub"
    assert shared.env["HF_HOME"] == "/home/vllm/.cache/huggingface"
    assert shared.env["VLLM_CACHE_ROOT"] == own.env["VLLM_CACHE_ROOT"] == "/home/vllm/.cache/vllm"
    assert (shared.env["HF_XET_CACHE"], shared.env["HF_XET_CHUNK_CACHE_SIZE_BYTES"]) == ("/tmp/xet", "0")
    assert [name for name, path in shared.env.items() if path.startswith("/models")] == ["HF_HUB_CACHE"]
    assert own.env["HF_HOME"] == "/models"
    assert "HF_HUB_CACHE" not in own.env


def test_a_volume_is_refused_where_a_model_may_have_several_replicas():
    (problem,) = refused(storage={"cache": "volume"})
    assert problem.key == "slipway:storage.cache"
    assert problem.message == ("an EBS volume attaches to one machine, and llama-3.1-8b-instruct may have 4 replicas")
    assert (problem.given, problem.allowed) == ("volume", ("auto", "node", "shared"))
    assert problem.hint == "write `cache: shared` under slipway:storage"
    assert planned(storage={"cache": "shared"}).settings.storage.cache == "shared"


def test_a_volume_is_not_offered_sharing_where_the_server_cannot():
    (problem,) = refused(
        platform="ollama",
        model={"name": "llama-3.1-8b-instruct", "quantization": "q4_k_m"},
        storage={"cache": "volume"},
    )
    assert problem.allowed == ("auto", "node")
    assert problem.hint == "write `cache: auto` under slipway:storage"


def test_a_volume_is_fine_for_a_single_replica_of_each_model():
    assert planned(storage={"cache": "volume"}, capacity=None, demand={"concurrency": 8}).models[0].replicas_max == 1
    one = {"name": "llama-3.1-8b-instruct", "quantization": "fp8", "replicas": 1}
    assert planned(storage={"cache": "volume"}, model=one, demand={"concurrency": 8}).models[0].replicas_max == 1


def test_a_machine_without_disks_of_its_own_cannot_keep_weights():
    (problem,) = refused(
        instanceTypes=("g5g.2xlarge",), platform="ollama", storage={"cache": "node"}, capacity=None,
        model={"name": "qwen3-8b", "quantization": "q4_k_m"}, demand={"concurrency": 1, "contextLength": 4096},
    )  # fmt: skip
    assert problem.key == "slipway:storage.cache"
    assert problem.message.endswith("on a machine's own disks, and g5g.2xlarge has none")
    assert problem.given == "node"


def test_the_machines_disks_must_hold_every_replica_beside_the_images():
    """g6.xlarge: 250 GB are 233 GiB; 200 GiB of weights, 2 of compile cache, 4 of scratch and 110 of images are not."""
    problem, *others = refused(storage={"cache": "node", "diskGib": 200})
    assert problem.message == (
        "weights, caches and images take 316 GiB on a machine's own disks, and g6.xlarge has 233 GiB"
    )
    assert others == []  # g6.2xlarge has 419 GiB
    assert planned(storage={"cache": "node", "diskGib": 116}).models[0].memory.fits
