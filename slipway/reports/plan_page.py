"""One stack, on one page: does it fit, how does it run, what does it cost, what should a reviewer know."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from slipway.catalog.types import Quantization
from slipway.costs.types import Estimate
from slipway.engine.graph import SECRET, UNKNOWN, Graph
from slipway.findings import Finding, Severity
from slipway.pipeline import Analysis
from slipway.planning.types import MemoryProof, PlannedModel, ServingPlan, Update
from slipway.reports.cost_tables import lines_table, unpriced_lines
from slipway.reports.memory_bar import MemoryBar
from slipway.reports.wording import (
    TARGETS,
    UPDATES,
    age,
    biggest,
    count,
    duration,
    gib,
    machines,
    market,
    price_sources,
    server,
    service_and_kind,
    span,
    usd,
)
from slipway.settings.models import Target

SEVERITIES: Mapping[Severity, tuple[str, str]] = {
    Severity.ERROR: ("✗", "bold red"),
    Severity.WARNING: ("!", "yellow"),
    Severity.INFO: ("i", "cyan"),
}
_BIGGEST_ITEMS = 3


def page(analysis: Analysis, *, today: date, verbose: bool) -> RenderableType:
    """Everything about one stack. `verbose` adds how each figure was computed, and every line of the bill."""
    return Group(
        _heading(analysis),
        _rows(
            *_models(analysis.plan, verbose=verbose),
            ("Placement", _placement(analysis.plan)),
            *_nodes_disk(analysis.plan, verbose=verbose),
            *_outputs(analysis.graph),
            *_costs(analysis.estimate, today=today, verbose=verbose),
            ("Resources", _resources(analysis.graph)),
            ("Findings", _findings(analysis.findings)),
        ),
        "",
    )


def _heading(analysis: Analysis) -> RenderableType:
    plan = analysis.plan
    parts = [server(plan), TARGETS[plan.target], *([plan.region] if plan.region else [])]
    if plan.instance_type:
        parts.append(market(plan.capacity))
    title = Text.assemble((analysis.name, "bold cyan"), "  ", " · ".join(parts))
    return Rule(title, align="left", style="dim")


def _rows(*rows: tuple[str, RenderableType]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(style="bold", no_wrap=True, width=11)
    table.add_column(ratio=1)
    for label, content in rows:
        table.add_row(label, content)
    return table


def _models(plan: ServingPlan, *, verbose: bool) -> Iterator[tuple[str, RenderableType]]:
    for model in plan.models:
        yield "Model", _model(model)
        yield from _memory(model.memory, verbose=verbose)
        if model.flags:
            yield "Engine", Text(" ".join(model.flags).replace(" --", "\n--") if verbose else " ".join(model.flags))
        yield "Cold start", _cold_start(model)
        if model.update:
            yield "Update", _update(model.update)


def _model(model: PlannedModel) -> Text:
    quantization = model.checkpoint.quantization
    stored = [] if quantization is Quantization.NONE else [quantization.value]
    forms = dict.fromkeys([*stored, model.dtype])
    text = Text.assemble((model.name, "bold"), f"  {', '.join([model.checkpoint.reference, *forms])}")
    text.append(f"\n{model.context_length:,} tokens a request, {count(model.concurrency, 'request')} at once ")
    if model.replicas_max == 1:
        text.append("on 1 replica")
    else:
        text.append(f"on each of {span(model.replicas_min, model.replicas_max)} replicas")
    if model.gpus:
        text.append(f", {count(model.gpus, 'GPU')} a replica")
    if model.tensor_parallel > 1:
        text.append(f" (tensor parallel {model.tensor_parallel})")
    if model.adapters:
        text.append(f"; adapters: {', '.join(model.adapters)}")
    return text


def _memory(proof: MemoryProof, *, verbose: bool) -> Iterator[tuple[str, RenderableType]]:
    note = "" if proof.error_band is None else f"±{proof.error_band:.0%}"
    if proof.gpu:
        yield "GPU memory", MemoryBar(proof.gpu, note=f"per GPU, {note}" if note else "per GPU")
    yield "Host RAM", MemoryBar(proof.host, note="" if proof.gpu else note)
    yield "Disk", MemoryBar(proof.disk)
    if verbose:
        for name, budget in (("GPU", proof.gpu), ("RAM", proof.host), ("disk", proof.disk)):
            if budget is None:
                continue
            how = [f"available {gib(budget.available_gib)} GiB: {budget.available_how}"]
            how += [f"{term.name} {gib(term.gib)} GiB: {term.how}" for term in budget.terms]
            yield f"  {name}", Text("\n".join(how), style="dim")


def _cold_start(model: PlannedModel) -> Text:
    cold = model.cold_start
    known = [f"{name} {duration(seconds)}" for name, seconds in cold.phases if seconds is not None]
    text = Text.assemble(("at least " if cold.unknown else "") + duration(cold.total_seconds))
    text.append(": " + ", ".join(known), style="dim")
    if cold.unknown:
        text.append("; unknown: " + ", ".join(cold.unknown), style="dim")
    return text


def _update(update: Update) -> Text:
    text = Text.assemble(UPDATES[update.kind], (f", because {update.why}", "dim"))
    if update.downtime is None:
        return text.append("; expected downtime: none")
    least = "at least " if update.downtime.unknown else ""
    text.append(f"; expected downtime: {least}{duration(update.downtime.total_seconds)}")
    return text.append(f" ({', '.join(name for name, _ in update.downtime.phases)})", style="dim")


def _placement(plan: ServingPlan) -> Text:
    if not plan.instance_types:
        return Text(machines(plan))
    number = span(plan.capacity.minimum, plan.capacity.maximum)
    noun = "machine" if plan.capacity.minimum == plan.capacity.maximum == 1 else "machines"
    types = ", ".join(instance.name for instance in plan.instance_types)
    gpu = plan.instance_type.gpu if plan.instance_type else None
    text = Text(f"{number} {noun} of {types}")
    if gpu and plan.instance_type:
        text.append(f" ({plan.instance_type.gpu_count} x {gpu.name})")
    return text.append(f", {market(plan.capacity)}").append(f"; zones {', '.join(plan.zones)}" if plan.zones else "")


def _nodes_disk(plan: ServingPlan, *, verbose: bool) -> Iterator[tuple[str, RenderableType]]:
    """The nodes' system disk, on a cluster; how it was computed where everything is shown."""
    if plan.target is Target.CLUSTER and verbose:
        text = Text.assemble(f"{plan.root_disk_gib} GiB a machine", (f": {plan.root_disk_how}", "dim"))
        yield "Root disk", text


def _outputs(graph: Graph) -> Iterator[tuple[str, RenderableType]]:
    if not graph.outputs:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    for name, value in graph.outputs.items():
        table.add_row(name, _output(value))
    yield "Outputs", table


def _output(value: Any) -> Text:
    if value is UNKNOWN:
        return Text("known after creation", style="dim")
    if value is SECRET:
        return Text("secret", style="dim")
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value).items()
        return Text("\n").join(Text.assemble(f"{key}: ", _output(item)) for key, item in entries)
    if isinstance(value, list | tuple):
        return Text(", ").join(_output(item) for item in cast("Sequence[Any]", value))
    return Text(str(value))


def _costs(estimate: Estimate, *, today: date, verbose: bool) -> Iterator[tuple[str, RenderableType]]:
    money = estimate.monthly_usd
    if not estimate.items:
        yield "Cost", Text("nothing in the cloud to pay for" if not estimate.unpriced else "no priced resource")
    else:
        total = Text.assemble((usd(money.typical), "bold"), " a month")
        if money.low != money.typical:
            total.append(f", {usd(money.low)} at least")
        if money.high != money.typical:
            total.append(f", {usd(money.high)} at full capacity")
        items = estimate.items if verbose else biggest(estimate, _BIGGEST_ITEMS)
        if not estimate.complete:
            total.append("; machines without a price are missing from it", style="bold yellow")
        parts: list[RenderableType] = [total, lines_table(items, verbose=verbose)]
        rest = len(estimate.items) - len(items)
        dates = ", ".join(f"{source.as_of.isoformat()}" for source in price_sources([estimate]))
        notes = [f"and {count(rest, 'smaller item')}"] if rest else []
        parts.append(Text("; ".join([*notes, f"prices of {dates}"]), style="dim"))
        if verbose:
            parts += [Text(f"{source.name}, {age(source, today)}", style="dim") for source in price_sources([estimate])]
        yield "Cost", Group(*parts)
    if estimate.unpriced:
        lines = unpriced_lines(estimate, verbose=verbose)
        yield "Not priced", Text("\n".join(lines), style="yellow" if verbose else "dim")


def _resources(graph: Graph) -> RenderableType:
    services: dict[str, dict[str, int]] = defaultdict(dict)
    for token, number in graph.count_by_type().items():
        service, kind = service_and_kind(token)
        services[service][kind] = services[service].get(kind, 0) + number
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    total = sum(sum(kinds.values()) for kinds in services.values())
    table.add_row(str(total), "in all", "")
    for service, kinds in sorted(services.items()):
        names = ", ".join(kind if number == 1 else f"{kind} x{number}" for kind, number in sorted(kinds.items()))
        table.add_row(str(sum(kinds.values())), service, names)
    return table


def _findings(findings: tuple[Finding, ...]) -> RenderableType:
    if not findings:
        return Text("none", style="green")
    order = list(SEVERITIES)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        mark, style = SEVERITIES[finding.severity]
        text = Text.assemble((finding.subject, "bold"), f": {finding.message} ", (f"[{finding.id}]", style))
        table.add_row(Text(mark, style=style), text.append(f"\nfix: {finding.fix}", style="dim"))
    return table
