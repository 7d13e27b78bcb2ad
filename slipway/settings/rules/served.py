"""What the stack serves: models of the catalogue, and models of the user's own with their facts."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from slipway import catalog
from slipway.catalog.types import Platform
from slipway.settings.mistakes import Mistake, Path
from slipway.settings.models import ServedModel
from slipway.settings.names import nearest
from slipway.settings.rules.stack import Stack

_BRANCHES = frozenset({"main", "master", "head", "latest"})
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_ADAPTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_HUGGING_FACE_PLATFORMS = frozenset({Platform.VLLM, Platform.GPUSTACK})


def one_of_model_and_models(stack: Stack) -> Iterator[Mistake]:
    """A stack serves `model` or `models`, not both and not neither."""
    has_model, has_models = "model" in stack.given, "models" in stack.given
    if has_model and has_models:
        yield Mistake(path=("models",), message="stands beside `model`", hint="keep one of the two")
    elif not has_model and not has_models:
        yield Mistake(
            path=("model",),
            message="is missing; name the model to serve",
            hint="a catalogue name such as llama-3.1-8b-instruct, or several under `slipway:models`",
        )


def models_known(stack: Stack) -> Iterator[Mistake]:
    """Every model is in the catalogue, or brings its facts; each is served once."""
    known = catalog.models()
    seen: set[str] = set()
    for path, model, brings_facts in _served(stack):
        if model.name in seen:
            yield Mistake(path=path, message="this model is already served by the stack", given=model.name)
        elif not brings_facts and model.name not in known:
            yield Mistake(
                path=path,
                message="is not a model of the catalogue",
                given=model.name,
                nearest=nearest(model.name.rpartition("/")[2], known),
                hint="for a Hugging Face id of your own, give its shape under `facts`" if "/" in model.name else None,
            )
        seen.add(model.name)


def facts(stack: Stack) -> Iterator[Mistake]:
    """The shape of a model of the user's own is possible, and not one we already know."""
    for path, model, _ in _served(stack):
        given, inside = model.facts, (*path[:-1], "facts")
        if given is None:
            continue
        if model.name in catalog.models():
            yield Mistake(path=inside, message="the catalogue already knows this model", hint="leave `facts` out")
        if given.heads % given.kv_heads:
            message = f"must divide heads, which is {given.heads}"
            yield Mistake(path=(*inside, "kvHeads"), message=message, given=given.kv_heads)
        if given.active_parameters_b is not None and given.active_parameters_b > given.parameters_b:
            message = f"must be at most parametersB, which is {given.parameters_b:g}"
            yield Mistake(path=(*inside, "activeParametersB"), message=message, given=given.active_parameters_b)


def hugging_face_ids(stack: Stack) -> Iterator[Mistake]:
    """vLLM and GPUStack download a model of the user's own from Hugging Face."""
    if stack.settings.platform not in _HUGGING_FACE_PLATFORMS:
        return
    for path, model, _ in _served(stack):
        if model.facts is not None and model.name not in catalog.models() and not _is_hugging_face_id(model.name):
            yield Mistake(path=path, message="must be a Hugging Face id such as org/name", given=model.name)


def revisions(stack: Stack) -> Iterator[Mistake]:
    """A revision is a commit or a tag: a branch moves, and then two replicas serve different weights."""
    for path, model, _ in _served(stack):
        if model.revision is None:
            continue
        where = (*path[:-1], "revision")
        if model.revision.lower() in _BRANCHES or model.revision.startswith("refs/"):
            message = "is a branch, whose files change; name a commit or a tag"
            yield Mistake(path=where, message=message, given=model.revision)
        elif not _REVISION.fullmatch(model.revision):
            message = "must be a commit such as 0e9e39f249a16976918f6564b8830bc894c89659, or a tag"
            yield Mistake(path=where, message=message, given=model.revision)


def adapters(stack: Stack) -> Iterator[Mistake]:
    """vLLM takes adapters as NAME=ID, and clients tell models and adapters apart by name only."""
    taken = {model.name for _, model, _ in _served(stack)}
    for path, model, _ in _served(stack):
        inside = (*path[:-1], "loraAdapters")
        if model.lora_adapters and stack.settings.platform is not Platform.VLLM:
            yield Mistake(path=inside, message=f"{stack.settings.platform} does not serve adapters here; vllm does")
            continue
        for index, adapter in enumerate(model.lora_adapters):
            if not _ADAPTER_NAME.fullmatch(adapter.name):
                message = "must be letters, digits, dots, dashes and underscores"
                yield Mistake(path=(*inside, index, "name"), message=message, given=adapter.name)
            elif adapter.name in taken:
                message = "is already the name of a model or adapter of the stack"
                yield Mistake(path=(*inside, index, "name"), message=message, given=adapter.name)
            if not _REPOSITORY.fullmatch(adapter.repo):
                message = "must be a Hugging Face id such as org/name"
                yield Mistake(path=(*inside, index, "repo"), message=message, given=adapter.repo)
            taken.add(adapter.name)


def _served(stack: Stack) -> Iterator[tuple[Path, ServedModel, bool]]:
    """Every model with the path of its name, and whether the user gave facts, sound or not."""
    settings, listed = stack.settings, stack.given.get("models")
    if settings.model is not None:
        yield _named(("model",), settings.model, stack.given.get("model"))
    for index, model in enumerate(settings.models):
        written = cast("list[Any]", listed)[index] if isinstance(listed, list) else None
        yield _named(("models", index), model, written)


def _named(path: Path, model: ServedModel, written: Any) -> tuple[Path, ServedModel, bool]:
    if isinstance(written, str):
        return path, model, False
    return (*path, "name"), model, isinstance(written, Mapping) and "facts" in written


def _is_hugging_face_id(name: str) -> bool:
    owner, slash, repository = name.partition("/")
    return bool(owner and slash and repository) and "/" not in repository and " " not in name
