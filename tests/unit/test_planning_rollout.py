"""How pods stop and are replaced: sums that end before the kill, and new pods first only where they surely fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_stacks import ONE_MACHINE, planned

from components.model_cache import CacheKind, choose_cache
from slipway.catalog.types import Market
from slipway.planning import drain, rollout
from slipway.planning.packing import machines_needed, sure_of_room
from slipway.planning.types import Capacity, ColdStart, UpdateKind
from slipway.platforms import workloads
from slipway.settings.models import Autoscaler, CachePlace

pytestmark = pytest.mark.unit

FP8 = {"name": "llama-3.1-8b-instruct", "quantization": "fp8"}
NODES = {"market": "on-demand"}


def machines(minimum: int, maximum: int | None = None, autoscaler: Autoscaler = Autoscaler.NONE) -> Capacity:
    return Capacity(
        market=Market.ON_DEMAND,
        on_demand_base=0,
        minimum=minimum,
        maximum=maximum or minimum,
        autoscaler=autoscaler,
    )


def test_on_spot_the_kill_comes_five_seconds_before_the_machine_goes():
    seconds = drain.drain_seconds(Market.SPOT)
    assert seconds == 90
    assert drain.grace_period_seconds(seconds) == 10 + 90 + 15 == 115
    assert drain.SPOT_NOTICE_SECONDS - drain.grace_period_seconds(seconds) == drain.REACTION_SECONDS == 5


def test_on_demand_a_long_answer_is_finished():
    assert drain.drain_seconds(Market.ON_DEMAND) == 300
    assert drain.grace_period_seconds(300) == 325


@pytest.mark.parametrize(("market", "seconds"), [("spot", 90), ("on-demand", 300)])
def test_the_engine_drains_for_as_long_as_the_pod_lets_it(market: str, seconds: int):
    plan = planned(capacity={"market": market, "max": 2}, demand={"concurrency": 8})
    (server,) = workloads(plan)
    assert server.drain_seconds == seconds
    assert server.args[server.args.index("--shutdown-timeout") + 1] == str(seconds)


def test_a_free_gpu_lets_the_new_pod_come_first():
    kind, why = rollout.choose(replicas=1, gpus=1, taken_gpus=3, gpu_count=4, machines=machines(1), keeps_volume=False)
    assert (kind, why) == (UpdateKind.SURGE, "GPUs are free for the new pod")


@pytest.mark.parametrize(("replicas", "kind"), [(1, UpdateKind.RECREATE), (4, UpdateKind.ONE_BY_ONE)])
def test_without_a_free_gpu_an_old_pod_goes_first(replicas: int, kind: UpdateKind):
    found = rollout.choose(
        replicas=replicas, gpus=1, taken_gpus=4, gpu_count=4, machines=machines(1), keeps_volume=False
    )
    assert found == (kind, "no GPU is free for the new pod")


def test_a_machine_that_can_be_added_counts_as_free():
    grows = machines(1, 2, Autoscaler.CLUSTER_AUTOSCALER)
    found = rollout.choose(replicas=1, gpus=1, taken_gpus=1, gpu_count=1, machines=grows, keeps_volume=False)
    assert found == (UpdateKind.SURGE, "a machine is added for the new pod")
    alone = machines(1, 2)
    kind, _ = rollout.choose(replicas=1, gpus=1, taken_gpus=1, gpu_count=1, machines=alone, keeps_volume=False)
    assert kind is UpdateKind.RECREATE


def test_free_gpus_in_pieces_are_no_room_for_a_pod_that_needs_several():
    """Two machines with one GPU left each hold no pod of two; a third free GPU must lie beside one of them."""
    for taken, kind in ((6, UpdateKind.ONE_BY_ONE), (5, UpdateKind.SURGE)):
        found = rollout.choose(
            replicas=2, gpus=2, taken_gpus=taken, gpu_count=4, machines=machines(2), keeps_volume=False
        )
        assert found[0] is kind


def test_a_volume_is_let_go_before_the_new_pod_takes_it():
    found = rollout.choose(replicas=1, gpus=1, taken_gpus=1, gpu_count=8, machines=machines(4), keeps_volume=True)
    assert found == (UpdateKind.RECREATE, "its volume attaches to one machine")


def test_a_server_without_gpus_is_never_given_a_second_pod_beside_it():
    found = rollout.choose(replicas=1, gpus=0, taken_gpus=0, gpu_count=0, machines=machines(3), keeps_volume=False)
    assert found == (UpdateKind.RECREATE, "no GPU is free for the new pod")


@given(st.sampled_from(CachePlace), st.integers(1, 3))
def test_the_plan_and_the_cluster_agree_on_who_keeps_a_volume(place: CachePlace, replicas: int):
    (server,) = workloads(planned())
    kind = choose_cache(server, replicas_max=replicas, instance_types=(), root_disk_gib=100, place=place)
    assert rollout.keeps_volume(place, replicas) == (kind is CacheKind.CLAIM)


def test_downtime_is_the_start_without_what_the_machine_already_has():
    cold = ColdStart(
        phases=(
            ("node start", 30.0),
            ("image pull", 300.0),
            ("weights download", 40.0),
            ("load", 20.0),
            ("compile", None),
        )
    )
    fresh = rollout.update(UpdateKind.RECREATE, "why", cold, keeps_weights=False).downtime
    assert fresh is not None
    assert (fresh.total_seconds, fresh.unknown) == (60.0, ("compile",))
    kept = rollout.update(UpdateKind.RECREATE, "why", cold, keeps_weights=True).downtime
    assert kept is not None
    assert kept.total_seconds == 20.0
    assert rollout.update(UpdateKind.ONE_BY_ONE, "why", cold, keeps_weights=False).downtime is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"capacity": NODES}, UpdateKind.RECREATE),  # one replica, on a volume
        ({"capacity": NODES | {"min": 2}}, UpdateKind.ONE_BY_ONE),  # machines all full
        ({"capacity": NODES | {"min": 3}, "model": FP8 | {"replicas": 2}}, UpdateKind.SURGE),  # a GPU is left
        ({"capacity": NODES | {"max": 2}}, UpdateKind.SURGE),  # a machine can be added
    ],
)
def test_a_plan_says_how_its_servers_are_updated(changes: dict[str, object], kind: UpdateKind):
    update = planned(demand={"concurrency": 8}, **changes).models[0].update
    assert update is not None
    assert update.kind is kind
    assert (update.downtime is not None) == (kind is UpdateKind.RECREATE)


def test_a_single_machine_and_gpustack_have_no_rollout():
    assert planned(**ONE_MACHINE, demand={"concurrency": 4}).models[0].update is None
    assert planned(platform="gpustack").models[0].update is None


def test_replicas_are_packed_largest_first():
    assert machines_needed({4: 1, 2: 1, 1: 2}, 4) == 2
    assert machines_needed({2: 3, 1: 2}, 4) == 2
    assert machines_needed({3: 2, 1: 2}, 4) == 2
    assert machines_needed({}, 4) == 0
    with pytest.raises(ValueError, match="a size of 8 GPUs on machines of 4"):
        machines_needed({8: 1}, 4)


def test_packing_any_number_of_replicas_takes_no_time():
    assert machines_needed({1: 10**12}, 8) == 125_000_000_000


SIZES = st.dictionaries(st.integers(1, 8), st.integers(1, 20), max_size=6)


@given(SIZES)
def test_packing_is_never_below_what_the_gpus_allow_and_near_it(replicas: dict[int, int]):
    needed = machines_needed(replicas, 8)
    gpus = sum(size * number for size, number in replicas.items())
    large = sum(number for size, number in replicas.items() if size > 4)
    assert needed >= max(-(-gpus // 8), large)
    assert needed <= sum(-(-number // (8 // size)) for size, number in replicas.items())


@given(st.dictionaries(st.sampled_from([1, 2, 4, 8]), st.integers(1, 20), max_size=4))
def test_packing_powers_of_two_is_exact(replicas: dict[int, int]):
    assert machines_needed(replicas, 8) == -(-sum(size * number for size, number in replicas.items()) // 8)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(1, 4))
def test_room_that_is_sure_is_there_however_pods_are_spread(free: list[int], size: int):
    if sure_of_room(sum(free), size, len(free)):
        assert max(free) >= size
