"""The Pulumi program of every stack: settings, plan, workloads, target, outputs."""

import pulumi

from components import targets
from slipway import planning, platforms, settings
from slipway.problems import StackError
from slipway.settings.runtime import secret


def main() -> None:
    """Deploy the selected stack. A stack with mistakes ends here, with all of them in one message."""
    try:
        stack = settings.from_pulumi()
        plan = planning.plan(stack)
    except StackError as error:
        raise pulumi.RunError("\n".join(str(problem) for problem in error.problems)) from None
    for finding in plan.findings:
        pulumi.log.warn(f"{finding.subject}: {finding.message}; {finding.fix}")
    secrets = {name: secret(name) for name in sorted(stack.secrets)}
    for name, value in targets.deploy(plan, platforms.workloads(plan), secrets).items():
        pulumi.export(name, value)


if __name__ == "__main__":
    main()
