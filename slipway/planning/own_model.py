"""A model the catalogue does not know, from the facts its user gives."""

from datetime import date

from slipway import catalog
from slipway.catalog.types import Attention, Checkpoint, Model, Quantization, Source
from slipway.settings.models import ModelFacts, ServedModel

# Facts carry no dates; the source is the stack file, so its own history dates them.
_STACK_FILE = Source(name="facts in the stack file", as_of=date.min)


def resolve(served: ServedModel) -> Model:
    """The catalogue's model of that name, or one made from `facts`. Raises KeyError when there is neither."""
    if served.facts is None:
        return catalog.models()[served.name]
    return _from_facts(served.name, served.facts)


def _from_facts(name: str, facts: ModelFacts) -> Model:
    """Untied embeddings are assumed: an input matrix and an output head, which is the larger case."""
    embedding_b = min(2 * facts.vocabulary * facts.hidden_size / 1e9, facts.parameters_b)
    return Model(
        name=name,
        parameters_b=facts.parameters_b,
        active_parameters_b=facts.active_parameters_b or facts.parameters_b,
        embedding_parameters_b=embedding_b,
        hidden_size=facts.hidden_size,
        vocabulary=facts.vocabulary,
        attention=Attention(layers=facts.layers, heads=facts.heads, kv_heads=facts.kv_heads, head_dim=facts.head_dim),
        max_context=facts.max_context,
        native_dtype="bfloat16",
        licence="unknown",
        checkpoints=(Checkpoint(quantization=Quantization.NONE, reference=name, gated=facts.gated),),
        source=_STACK_FILE,
    )
