"""The machine's form of a plan; its shape is docs/plan.schema.json."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from slipway.catalog.types import Source
from slipway.checks.quota import Answer
from slipway.costs.types import Estimate, LineItem, Money
from slipway.engine.graph import SECRET, UNKNOWN
from slipway.findings import Finding
from slipway.pipeline import Analysis, Failure
from slipway.planning.types import Budget, PlannedModel, Update
from slipway.problems import Problem, StackError


def document(outcomes: Sequence[Analysis | Failure], answers: Sequence[Answer] = ()) -> dict[str, Any]:
    """One entry per stack, in the order asked for; a stack that does not plan has `problems` instead of results.

    `answers` are the quotas of all stacks together.
    """
    return {
        "stacks": [_failed(one) if isinstance(one, Failure) else _stack(one) for one in outcomes],
        "quota": [_quota(answer) for answer in answers],
    }


def _quota(answer: Answer) -> dict[str, Any]:
    need = answer.need
    return {
        "region": need.region,
        "code": need.quota.code,
        "name": need.quota.name,
        "minimum_vcpus": need.minimum,
        "maximum_vcpus": need.maximum,
        "allowed_vcpus": answer.allowed,
        "stacks": dict(need.stacks),
        "finding": _finding(answer.finding) if answer.finding else None,
    }


def _stack(analysis: Analysis) -> dict[str, Any]:
    plan = analysis.plan
    return {
        "name": analysis.name,
        "target": plan.target.value,
        "platform": plan.platform.value,
        "platform_version": plan.release.version,
        "region": plan.region,
        "zones": list(plan.zones),
        "instance_types": [instance.name for instance in plan.instance_types],
        "capacity": {
            "market": plan.capacity.market.value,
            "on_demand_base": plan.capacity.on_demand_base,
            "min": plan.capacity.minimum,
            "max": plan.capacity.maximum,
        },
        "root_disk": {"gib": plan.root_disk_gib, "how": plan.root_disk_how} if plan.root_disk_gib else None,
        "resources": analysis.graph.count_by_type(),
        "models": [_model(model) for model in plan.models],
        "monthly_usd": _money(analysis.estimate.monthly_usd),
        "cost": _cost(analysis.estimate),
        "findings": [_finding(finding) for finding in analysis.findings],
        "outputs": {name: _plain(value) for name, value in analysis.graph.outputs.items()},
        "seconds": round(analysis.seconds, 3),
    }


def _model(model: PlannedModel) -> dict[str, Any]:
    memory = model.memory
    return {
        "name": model.name,
        "fits": memory.fits,
        "memory_gib": _terms(memory.gpu or memory.host),
        "gpu": _budget(memory.gpu) if memory.gpu else None,
        "host": _budget(memory.host),
        "disk": _budget(memory.disk),
        "error_band": memory.error_band,
        "checkpoint": model.checkpoint.reference,
        "quantization": model.checkpoint.quantization.value,
        "dtype": model.dtype,
        "kv_cache_dtype": model.kv_cache_dtype,
        "tensor_parallel": model.tensor_parallel,
        "gpus": model.gpus,
        "context_length": model.context_length,
        "concurrency": model.concurrency,
        "replicas": {"min": model.replicas_min, "max": model.replicas_max},
        "flags": list(model.flags),
        "cold_start_seconds": dict(model.cold_start.phases),
        "adapters": list(model.adapters),
        "update": _update(model.update) if model.update else None,
    }


def _update(update: Update) -> dict[str, Any]:
    return {
        "kind": update.kind.value,
        "why": update.why,
        "downtime_seconds": dict(update.downtime.phases) if update.downtime else None,
    }


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "available_gib": round(budget.available_gib, 3),
        "available_how": budget.available_how,
        "used_gib": round(budget.used_gib, 3),
        "free_gib": round(budget.free_gib, 3),
        "fits": budget.fits,
        "terms": [{"name": term.name, "gib": round(term.gib, 3), "how": term.how} for term in budget.terms],
    }


def _terms(budget: Budget) -> dict[str, float]:
    return {term.name: round(term.gib, 3) for term in budget.terms}


def _cost(estimate: Estimate) -> dict[str, Any]:
    return {
        "complete": estimate.complete,
        "by_category": {category: _money(money) for category, money in estimate.by_category.items()},
        "items": [_item(item) for item in estimate.items],
        "unpriced": [
            {"resource": entry.resource, "type": entry.type, "reason": entry.reason} for entry in estimate.unpriced
        ],
    }


def _item(item: LineItem) -> dict[str, Any]:
    return {
        "resource": item.resource,
        "type": item.type,
        "category": item.category,
        "monthly_usd": _money(item.monthly_usd),
        "how": item.how,
        "source": _source(item.source),
    }


def _source(source: Source) -> dict[str, str]:
    return {"name": source.name, "as_of": source.as_of.isoformat()}


def _money(money: Money) -> dict[str, float]:
    return {"low": float(money.low), "typical": float(money.typical), "high": float(money.high)}


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "message": finding.message,
        "fix": finding.fix,
    }


def _failed(failure: Failure) -> dict[str, Any]:
    error = failure.error
    problems = error.problems if isinstance(error, StackError) else ()
    said = [_problem(problem) for problem in problems] or [{"key": "", "message": str(error)}]
    return {"name": failure.name, "problems": said}


def _problem(problem: Problem) -> dict[str, Any]:
    fields = {
        "key": problem.key,
        "message": problem.message,
        "given": problem.given,
        "allowed": list(problem.allowed) or None,
        "nearest": problem.nearest,
        "hint": problem.hint,
        "file": problem.file,
        "line": problem.line,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    """An output as JSON: null where only the cloud knows it, ``[secret]`` where it is one."""
    if value is UNKNOWN:
        return None
    if value is SECRET:
        return repr(SECRET)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value
