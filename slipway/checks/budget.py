"""The stack's own limit on its monthly bill."""

from collections.abc import Iterator
from decimal import Decimal

from slipway.costs.types import Estimate
from slipway.findings import Finding, Severity
from slipway.settings.models import BudgetSettings, OnExceed

ID = "SW090"


def over_budget(estimate: Estimate, budget: BudgetSettings | None) -> Iterator[Finding]:
    """A finding when the typical bill is above the limit, or when only the dearest case is."""
    if budget is None:
        return
    limit, money = Decimal(str(budget.monthly_usd)), estimate.monthly_usd
    if money.typical > limit:
        severity = Severity.ERROR if budget.on_exceed is OnExceed.FAIL else Severity.WARNING
        message = f"a typical month costs {money.typical:,.2f} USD, the budget is {limit:,.2f} USD"
    elif money.high > limit:
        severity = Severity.WARNING
        message = f"at full capacity a month costs up to {money.high:,.2f} USD, the budget is {limit:,.2f} USD"
    else:
        return
    yield Finding(
        id=ID,
        severity=severity,
        subject="slipway:budget",
        message=message,
        fix="lower slipway:capacity.max, choose a smaller instance type or the spot market, or raise the budget",
    )
