"""What a reviewer should know of a planned graph. Rules only look; they change and create nothing."""

from slipway.checks import rules
from slipway.checks.budget import over_budget
from slipway.checks.registry import CHECKS, Check
from slipway.engine.graph import Graph
from slipway.findings import Finding

__all__ = ["CHECKS", "Check", "over_budget", "rules", "run"]


def run(graph: Graph) -> tuple[Finding, ...]:
    """Every finding, in the order of the checks' ids."""
    return tuple(finding for identity in sorted(CHECKS) for finding in CHECKS[identity].findings(graph))
