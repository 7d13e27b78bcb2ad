"""`python -m benchmarks NAME`: run one measurement."""

import pkgutil
import sys
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Exit code 2 for a name there is no measurement of."""
    folder = Path(__file__).parent
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_"))
    if len(sys.argv) != 2 or sys.argv[1] not in names:  # noqa: PLR2004 - the command and one name
        print(f"usage: python -m benchmarks NAME\nNAME is one of: {', '.join(names)}", file=sys.stderr)
        return 2
    import_module(f"benchmarks.{sys.argv[1]}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
