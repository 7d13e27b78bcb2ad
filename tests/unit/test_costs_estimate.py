"""The bill as a whole: nothing counted twice, nothing taken as free by accident."""

import re
from decimal import Decimal
from pathlib import Path

import pulumi_aws
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import graph, resource

from slipway.costs import RULES, Money, free, price
from slipway.costs.pricing import Count, cents

pytestmark = pytest.mark.unit

amounts = st.decimals(min_value=0, max_value=10**6, places=2)


def test_no_type_is_both_priced_and_free() -> None:
    """A rule for a type of a free family is meant (a claim among Kubernetes objects); the rule then wins."""
    both = {token for token in RULES if free.reason(token)}
    assert both == {
        "kubernetes:apps/v1:DaemonSet",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:apps/v1:StatefulSet",
        "kubernetes:batch/v1:CronJob",
        "kubernetes:batch/v1:Job",
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:Pod",
        "kubernetes:core/v1:Service",
        "kubernetes:networking.k8s.io/v1:Ingress",
    }


def test_every_aws_type_named_in_rules_and_free_list_exists() -> None:
    """A misspelt token would never match, and its resources would be listed as not priced."""
    modules = Path(pulumi_aws.__file__).parent.glob("*/*.py")
    tokens = re.compile(r"'(aws:[A-Za-z0-9]+/[A-Za-z0-9]+:[A-Za-z0-9]+)'")
    known = {token for module in modules for token in tokens.findall(module.read_text(encoding="utf-8"))}
    named = {token for token in (*RULES, *free.TYPES) if token.startswith("aws:")}
    assert named - known == set()


def test_every_free_type_has_a_reason() -> None:
    assert all(reason for reason in (*free.TYPES.values(), *free.FAMILIES.values()))


def test_components_and_providers_are_not_resources_to_price() -> None:
    assert price(graph()).unpriced == ()


def test_every_line_names_source_date_and_multiplication() -> None:
    item = price(graph(resource("aws:ec2/eip:Eip", "address"))).items[0]
    assert item.how == "730 h x 0.005 USD x 1 (public IPv4)"
    assert (item.source.name, item.source.as_of.isoformat()) == (
        "Infracost golden files of the AWS price list, us-east-1",
        "2025-07-01",
    )


def test_the_total_is_the_sum_of_the_lines_a_user_sees() -> None:
    """Lines are rounded to cents before they are added: 0.005 x 730 x 3 addresses."""
    estimate = price(graph(*(resource("aws:ec2/eip:Eip", f"address-{index}") for index in range(3))))
    assert estimate.monthly_usd == Money.flat(Decimal("10.95"))
    assert estimate.by_category == {"network": Money.flat(Decimal("10.95"))}


@given(st.lists(st.tuples(amounts, amounts, amounts)))
def test_money_adds_case_by_case(triples: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    total = Money.flat(Decimal(0))
    for low, typical, high in triples:
        total += Money(low=low, typical=typical, high=high)
    sums = [sum((triple[case] for triple in triples), Decimal(0)) for case in range(3)]
    assert [total.low, total.typical, total.high] == sums


@given(amounts, st.integers(min_value=0, max_value=9))
def test_half_a_cent_is_rounded_up(amount: Decimal, digit: int) -> None:
    assert cents(amount + Decimal(digit) / 1000) == amount + (Decimal("0.01") if digit >= 5 else 0)


def test_a_count_is_written_short_when_it_is_always_the_same() -> None:
    assert (str(Count.flat(2)), str(Count(0, 1, 4))) == ("2", "0/1/4")
