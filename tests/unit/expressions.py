"""What a PromQL expression reads and gives, found by a real parser."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser as promql


@dataclass(frozen=True)
class Asked:
    """A series with the labels an expression needs it to have."""

    series: str
    labels: frozenset[str]


def asked(expression: str) -> Iterator[Asked]:
    """Every series of an expression with its matchers' labels, and those it is grouped or joined by."""
    yield from _asked(promql.parse(expression), frozenset())


def kept(expression: str, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Labels of the result, which an alert's texts may name."""
    return _kept(promql.parse(expression), known)


def _asked(node: promql.Expr, needed: frozenset[str]) -> Iterator[Asked]:
    match node:
        case promql.VectorSelector():
            yield Asked(node.name, needed | {matcher.name for matcher in node.matchers.matchers})
        case promql.MatrixSelector():
            yield from _asked(node.vector_selector, needed)
        case promql.AggregateExpr():
            yield from _asked(node.expr, frozenset(node.modifier.labels) if node.modifier else frozenset())
        case promql.Call():
            for argument in node.args:
                yield from _asked(argument, needed)
        case promql.BinaryExpr():
            joined = _joined(node)
            both = needed if joined is None else frozenset(joined)
            yield from _asked(node.lhs, needed | both)
            yield from _asked(node.rhs, both if str(node.op) in {"and", "unless"} else needed | both)
        case promql.ParenExpr() | promql.UnaryExpr():
            yield from _asked(node.expr, needed)
        case _:
            pass


def _kept(node: promql.Expr, known: Mapping[str, frozenset[str]]) -> frozenset[str]:  # noqa: PLR0911 - one a kind
    match node:
        case promql.VectorSelector():
            return known[node.name]
        case promql.MatrixSelector():
            return _kept(node.vector_selector, known)
        case promql.AggregateExpr():
            return frozenset(node.modifier.labels) if node.modifier else frozenset()
        case promql.Call() if node.func.name == "absent":
            # Prometheus gives it the labels of a bare selector's matchers, and none of anything else.
            inside = node.args[0]
            bare = isinstance(inside, promql.VectorSelector)
            return frozenset(matcher.name for matcher in inside.matchers.matchers) if bare else frozenset()
        case promql.Call():
            return _kept(node.args[-1], known) - ({"le"} if node.func.name == "histogram_quantile" else set())
        case promql.BinaryExpr():
            return _kept(node.lhs, known)
        case promql.ParenExpr() | promql.UnaryExpr():
            return _kept(node.expr, known)
        case _:
            return frozenset()


def _joined(node: promql.BinaryExpr) -> list[str] | None:
    matching = node.modifier.matching if node.modifier else None
    return list(matching.labels) if matching and matching.type is promql.LabelModifierType.Include else None
