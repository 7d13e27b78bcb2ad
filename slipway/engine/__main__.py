"""`python -m slipway.engine`: obtain the Pulumi engine ahead of time and say where it is."""

import sys

from slipway.engine.binary import obtain
from slipway.problems import SlipwayError


def main() -> int:
    """Exit code 0 when an engine is there."""
    try:
        engine = obtain(lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201 - this is a command
    except SlipwayError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(f"{engine.path} {engine.version} ({engine.origin})")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
