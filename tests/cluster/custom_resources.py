"""The custom resource definitions our stacks' objects need, made from the projects' own Go API modules.

Prometheus Operator's are generated from its Go types; Karpenter's module holds its own, which are more than what a
generator gives, because the project adds validation rules by hand. Kept in the cache as YAML, by version.
"""

from pathlib import Path

import go_programs
import yaml
from api_server import ApiError, ApiServer, Object, wait_for

from slipway.engine import cache
from slipway.engine.children import ChildError, Progress, run
from slipway.engine.go import VARIABLES, command
from slipway.problems import SlipwayError

PROMETHEUS_OPERATOR = "0.95.1"
PROMETHEUS_TYPES = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring"
KARPENTER = "1.14.1"
KARPENTER_MODULE = "github.com/aws/karpenter-provider-aws"
# What Prometheus Operator's own build passes: descriptions would triple the size.
GENERATOR = "crd:crdVersions=v1,allowDangerousTypes=true,maxDescLen=0"
SECONDS = 600.0


def definitions(name: str) -> list[Object]:
    """The definitions of `prometheus-operator` or `karpenter`.

    Raises:
        SlipwayError: they could not be made; tests that need them fail, they are not skipped.
    """
    version, make = {
        "prometheus-operator": (PROMETHEUS_OPERATOR, _generate),
        "karpenter": (KARPENTER, _copy),
    }[name]
    program = f"crds-{name}"
    target = cache.folder(program) / version
    if not target.is_dir():
        with go_programs.to_terminal() as report, cache.lock(program, program, report):
            if not target.is_dir():
                report(f"making the custom resource definitions of {name} {version}, once")
                try:
                    with cache.staging(program) as stage:
                        make(stage, report)
                        cache.keep(stage, program, version)
                except ChildError as reason:
                    raise SlipwayError(f"no custom resource definitions of {name} {version}: {reason}") from None
    return [yaml.safe_load(file.read_text()) for file in sorted(target.glob("*.yaml"))]


def _generate(stage: Path, report: Progress) -> None:
    generator = go_programs.obtain("controller-gen")["controller-gen"]
    module = stage / "module"
    module.mkdir()
    (module / "keep.go").write_text(f'package keep\n\nimport _ "{PROMETHEUS_TYPES}/v1"\n')
    go = command()
    for arguments in (
        [go, "mod", "init", "slipway.local/definitions"],
        [go, "get", f"{PROMETHEUS_TYPES}@v{PROMETHEUS_OPERATOR}"],
        [go, "mod", "tidy"],
        [generator, GENERATOR, f"paths={PROMETHEUS_TYPES}/v1", f"output:crd:dir={stage}"],
    ):
        run(arguments, module, "making custom resource definitions", SECONDS, report, variables=VARIABLES)


def _copy(stage: Path, report: Progress) -> None:
    folder = Path(go_programs.downloaded(f"{KARPENTER_MODULE}@v{KARPENTER}")["Dir"])
    for file in (folder / "pkg" / "apis" / "crds").glob("karpenter.*.yaml"):
        (stage / file.name).write_text(file.read_text())


def install(api: ApiServer, *names: str) -> None:
    """Make the API server know these kinds, and wait until it serves them."""
    wanted = [definition for name in names for definition in definitions(name)]
    for definition in wanted:
        api.apply(definition)
    for definition in wanted:
        wait_for(f"{definition['metadata']['name']} is served", lambda given=definition: _served(api, given), 30)


def _served(api: ApiServer, definition: Object) -> bool:
    """Established is not enough: for a moment after it the server still sets up where objects are kept."""
    spec = definition["spec"]
    version = next(found["name"] for found in spec["versions"] if found["served"])
    try:
        api.items(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}")
    except ApiError as error:
        if error.status in (404, 429, 503):
            return False
        raise
    return True
