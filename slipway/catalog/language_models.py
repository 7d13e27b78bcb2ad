"""The models Slipway knows by name: shape, published checkpoints, and what each platform calls them."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from slipway.catalog._files import document, source
from slipway.catalog.types import Attention, Checkpoint, FeedForward, Model, Quantization


@cache
def models() -> Mapping[str, Model]:
    """Every model, by catalogue name, in the file's order."""
    return MappingProxyType({name: _model(name, facts) for name, facts in document("models.yaml").items()})


def _model(name: str, facts: dict[str, Any]) -> Model:
    parameters_b = float(facts["parameters_b"])
    return Model(
        name=name,
        parameters_b=parameters_b,
        active_parameters_b=float(facts.get("active_parameters_b", parameters_b)),
        embedding_parameters_b=float(facts["embedding_parameters_b"]),
        vision_parameters_b=float(facts.get("vision_parameters_b", 0.0)),
        hidden_size=facts["hidden_size"],
        vocabulary=facts["vocabulary"],
        tied_embeddings=facts["tied_embeddings"],
        attention=Attention(**facts["attention"]),
        feed_forward=FeedForward(**facts["feed_forward"]),
        max_context=facts["max_context"],
        native_dtype=facts["native_dtype"],
        licence=facts["licence"],
        checkpoints=tuple(_checkpoint(entry) for entry in facts["checkpoints"]),
        ollama=_names(facts.get("ollama", {})),
        localai=_names(facts.get("localai", {})),
        tool_call_parser=facts.get("tool_call_parser"),
        float16_safe=facts.get("float16_safe", True),
        source=source(facts.get("source", "config-json")),
    )


def _checkpoint(entry: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        quantization=Quantization(entry["quantization"]),
        reference=entry["reference"],
        gated=entry.get("gated", False),
        weights_gib=entry.get("weights_gib"),
    )


def _names(entry: dict[str, str]) -> Mapping[Quantization, str]:
    return MappingProxyType({Quantization(quantization): name for quantization, name in entry.items()})
