"""Prices, zones and spot ranges."""

import csv
import gzip
import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import catalog
from slipway.catalog.types import Price, Service

pytestmark = pytest.mark.unit


def test_at_least_twelve_regions_with_prices():
    assert len(catalog.regions()) >= 12
    for region in catalog.regions():
        assert any(catalog.on_demand_price(name, region) for name in catalog.instance_types()), region


@pytest.mark.parametrize(
    ("instance_type", "region", "usd"),
    [
        ("g4dn.xlarge", "us-east-1", 0.526),
        ("g5.xlarge", "us-east-1", 1.006),
        ("g6.xlarge", "us-east-1", 0.8048),
        ("g6e.xlarge", "us-east-1", 1.861),
        ("p4d.24xlarge", "us-east-1", 21.957642),
        ("p5.48xlarge", "us-east-1", 55.04),
        ("g6.xlarge", "eu-central-1", 1.0064),
        ("g6.xlarge", "sa-east-1", 1.368),
        ("t3.xlarge", "us-east-1", 0.1664),
    ],
)
def test_on_demand_price(instance_type: str, region: str, usd: float):
    price = catalog.on_demand_price(instance_type, region)
    assert isinstance(price, Price)
    assert price.usd_per_hour == usd


def test_a_price_that_is_not_known_is_none():
    assert catalog.on_demand_price("p5e.48xlarge", "us-east-1") is None, "sold by capacity block only"
    assert catalog.on_demand_price("g6.xlarge", "eu-west-1") is None, "not offered there"
    assert catalog.on_demand_price("g6.xlarge", "atlantis-1") is None
    assert catalog.spot_price("g6.xlarge", "eu-west-1") is None


@pytest.mark.parametrize("family", ["g4dn", "g5", "g6", "g6e"])
def test_a_family_costs_the_same_factor_more_in_every_size(family: str):
    """A wrong figure in one cell breaks the ratio, which AWS keeps to within a percent."""
    sizes = [name for name, facts in catalog.instance_types().items() if facts.family == family]
    for region in catalog.regions():
        ratios: list[float] = []
        for size in sizes:
            here, base = catalog.on_demand_price(size, region), catalog.on_demand_price(size, "us-east-1")
            if here and base:
                ratios.append(here.usd_per_hour / base.usd_per_hour)
        if ratios:
            assert max(ratios) / min(ratios) < 1.01, (family, region, ratios)


def test_quoted_spot_is_a_range_over_zones():
    spot = catalog.spot_price("g6.xlarge", "us-east-1")
    assert spot is not None
    assert (spot.low, spot.typical, spot.high, spot.estimated) == (0.347, 0.3618, 0.5525, False)
    assert spot.interruption == ">20%"


def test_estimated_spot_says_so_and_is_half_to_double_of_the_advisor_s_figure():
    spot = catalog.spot_price("g5.2xlarge", "eu-west-1")
    price = catalog.on_demand_price("g5.2xlarge", "eu-west-1")
    assert spot is not None
    assert price is not None
    assert spot.estimated
    assert spot.source.as_of.isoformat() == "2025-06-28"
    assert spot.low == pytest.approx(spot.typical / 2, rel=1e-3)
    assert spot.high == pytest.approx(min(spot.typical * 2, price.usd_per_hour), rel=1e-3)


def test_spot_is_ordered_and_never_above_on_demand():
    ranges = 0
    for region in catalog.regions():
        for name in catalog.instance_types():
            spot, price = catalog.spot_price(name, region), catalog.on_demand_price(name, region)
            if spot and price:
                ranges += 1
                assert 0 < spot.low <= spot.typical <= spot.high <= price.usd_per_hour, (name, region)
    assert ranges > 1000


@pytest.mark.parametrize(
    ("service", "usd", "unit"),
    [
        (Service.EKS_CLUSTER, 0.10, "hour"),
        (Service.EKS_CLUSTER_EXTENDED, 0.60, "hour"),
        (Service.EBS_GP3, 0.08, "GB-month"),
        (Service.NAT_GATEWAY, 0.045, "hour"),
        (Service.NLB, 0.0225, "hour"),
        (Service.PUBLIC_IPV4, 0.005, "hour"),
        (Service.SECRETS_MANAGER, 0.40, "month"),
        (Service.KMS_KEY, 1.00, "month"),
    ],
)
def test_service_rate_in_us_east_1(service: Service, usd: float, unit: str):
    rate = catalog.service_rate(service, "us-east-1")
    assert (rate.usd, rate.unit, rate.estimated) == (usd, unit, False)


def test_every_service_has_a_rate_in_every_region():
    for region in catalog.regions():
        assert set(catalog.service_rates(region)) == set(Service)


def test_another_region_s_rate_is_marked_as_an_estimate_unless_sourced():
    stand_in = catalog.service_rate(Service.KMS_KEY, "eu-west-2")
    assert (stand_in.usd, stand_in.estimated) == (1.00, True)
    sourced = catalog.service_rate(Service.DATA_EGRESS, "ap-southeast-1")
    assert (sourced.usd, sourced.estimated) == (0.12, False)


def test_zones_are_named_after_the_region():
    assert catalog.zones("us-east-1") == tuple(f"us-east-1{letter}" for letter in "abcdef")
    assert catalog.zones("atlantis-1") == ()


def test_zones_offering_is_part_of_the_region_s_zones():
    for region in catalog.regions():
        for name in catalog.instance_types():
            assert set(catalog.zones_offering(name, region)) <= set(catalog.zones(region))


def test_a_gpu_type_is_not_in_every_zone():
    assert catalog.zones_offering("g4dn.xlarge", "us-east-1") == tuple(f"us-east-1{letter}" for letter in "abcdf")
    assert catalog.zones_offering("g6.xlarge", "eu-west-1") == ()
    assert catalog.zones_offering("nonsense", "us-east-1") == ()


def test_what_is_priced_is_offered_somewhere():
    """Except the retired p3, which the price list still holds, and one type AWS has moved."""
    for region in catalog.regions():
        lost = [
            name
            for name, facts in catalog.instance_types().items()
            if catalog.on_demand_price(name, region)
            and not catalog.zones_offering(name, region)
            and facts.family != "p3"
        ]
        assert lost == (["p4d.24xlarge"] if region == "ap-southeast-1" else []), region


def test_zones_agree_with_the_offerings_moto_ships():
    """Derived from the same answers of AWS; a newer moto may differ in a few cells, a mistake in deriving in many."""
    places = same = 0
    for region in catalog.regions():
        offered = offerings(region)
        for name in catalog.instance_types():
            places += 1
            same += set(catalog.zones_offering(name, region)) == offered.get(name, set())
    assert same / places > 0.95


def offerings(region: str) -> dict[str, set[str]]:
    folder = files("moto") / "ec2" / "resources" / "instance_type_offerings" / "availability-zone"
    entries: list[Any] = json.loads(gzip.decompress((folder / f"{region}.json.gz").read_bytes()))
    found: dict[str, set[str]] = {}
    for entry in entries:
        if entry["Location"] in catalog.zones(region):
            found.setdefault(entry["InstanceType"], set()).add(entry["Location"])
    return found


@pytest.mark.parametrize("name", ["on_demand.csv", "spot_quotes.csv", "spot_savings.csv"])
def test_no_price_stands_twice_and_every_type_is_known(name: str):
    """A second row would silently win over the first."""
    text = (files("slipway.catalog") / "data" / name).read_text(encoding="utf-8")
    places = [(row["instance_type"], row["region"]) for row in csv.DictReader(text.splitlines())]
    assert len(set(places)) == len(places)
    assert {instance_type for instance_type, _ in places} <= set(catalog.instance_types())
    assert {region for _, region in places} <= set(catalog.regions())


@given(instance_type=st.text(), region=st.text())
def test_what_is_not_known_is_never_an_error(instance_type: str, region: str):
    assert catalog.on_demand_price(instance_type, region) is None
    assert catalog.spot_price(instance_type, region) is None
    assert catalog.zones_offering(instance_type, region) == ()
    assert catalog.zones(region) == ()
