"""The stack's limit on its monthly bill."""

from decimal import Decimal

import pytest

from slipway.catalog import on_demand_price
from slipway.checks import over_budget
from slipway.costs.types import Estimate, LineItem, Money
from slipway.findings import Severity
from slipway.settings.models import BudgetSettings, OnExceed

pytestmark = pytest.mark.unit


def estimate(typical: str, high: str) -> Estimate:
    price = on_demand_price("g5.xlarge", "us-east-1")
    assert price is not None
    item = LineItem(
        resource="server",
        type="aws:ec2/instance:Instance",
        category="compute on demand",
        monthly_usd=Money(low=Decimal(0), typical=Decimal(typical), high=Decimal(high)),
        how="",
        source=price.source,
    )
    return Estimate(stack="test", region="us-east-1", items=(item,), unpriced=())


def budget(on_exceed: OnExceed = OnExceed.WARN) -> BudgetSettings:
    return BudgetSettings(monthly_usd=600, on_exceed=on_exceed)


def test_within_the_budget_nothing_is_said() -> None:
    assert list(over_budget(estimate("600.00", "600.00"), budget())) == []


def test_without_a_budget_nothing_is_said() -> None:
    assert list(over_budget(estimate("9000", "9000"), None)) == []


@pytest.mark.parametrize(
    ("on_exceed", "severity"), [(OnExceed.WARN, Severity.WARNING), (OnExceed.FAIL, Severity.ERROR)]
)
def test_a_typical_month_above_the_budget_is_what_the_stack_says_it_is(on_exceed: OnExceed, severity: Severity) -> None:
    (finding,) = over_budget(estimate("600.01", "700"), budget(on_exceed))
    assert finding.severity is severity
    assert finding.message == "a typical month costs 600.01 USD, the budget is 600.00 USD"


def test_only_full_capacity_above_the_budget_is_a_warning_even_where_the_budget_fails() -> None:
    (finding,) = over_budget(estimate("500", "1234.5"), budget(OnExceed.FAIL))
    assert finding.severity is Severity.WARNING
    assert finding.message == "at full capacity a month costs up to 1,234.50 USD, the budget is 600.00 USD"
