"""One analysed stack, made by hand, so that reports can be read letter by letter."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from planned import graph, resource

from slipway import catalog
from slipway.catalog.types import Market, Platform, Quantization, Source
from slipway.costs.types import Estimate, LineItem, Money, Unpriced
from slipway.engine.graph import SECRET, UNKNOWN
from slipway.findings import Finding, Severity
from slipway.pipeline import Analysis
from slipway.planning.types import (
    Budget,
    Capacity,
    ColdStart,
    MemoryProof,
    MemoryTerm,
    PlannedModel,
    ServingPlan,
    Update,
    UpdateKind,
)
from slipway.settings import StackFile, from_config
from slipway.settings.models import Target

TODAY = date(2026, 11, 23)
PRICES = Source(name="A price list", as_of=date(2026, 11, 1))


def _budget(available: float, **terms: float) -> Budget:
    return Budget(
        available_gib=available,
        available_how="what there is",
        terms=tuple(
            MemoryTerm(name=name.replace("_", " "), gib=gib, how=f"how {name} was found") for name, gib in terms.items()
        ),
    )


def _item(name: str, category: str, low: str, typical: str, high: str) -> LineItem:
    money = Money(low=Decimal(low), typical=Decimal(typical), high=Decimal(high))
    return LineItem(
        resource=name, type="aws:x/y:Z", category=category, monthly_usd=money, how="730 h x 1 USD", source=PRICES
    )


def prod() -> Analysis:
    """A model on EKS, with everything a report can show."""
    model = catalog.models()["llama-3.1-8b-instruct"]
    checkpoint = model.checkpoint(Quantization.FP8)
    assert checkpoint is not None
    planned = PlannedModel(
        name=model.name,
        model=model,
        checkpoint=checkpoint,
        dtype="bfloat16",
        kv_cache_dtype="auto",
        tensor_parallel=1,
        gpus=1,
        context_length=8192,
        concurrency=8,
        replicas_min=1,
        replicas_max=4,
        memory=MemoryProof(
            gpu=_budget(20.0, weights=8.5, kv_cache=8.0, activations=1.0, cuda_graphs=0.05),
            host=_budget(13.0, engine=4.0),
            disk=_budget(12.0, weights=8.5, headroom=1.5),
            error_band=0.06,
        ),
        cold_start=ColdStart(phases=(("node start", 30.0), ("image pull", None), ("load", 65.0))),
        flags=("--max-model-len", "8192"),
        adapters=("support", "sql"),
        update=Update(
            kind=UpdateKind.RECREATE,
            why="its volume attaches to one machine",
            downtime=ColdStart(phases=(("load", 65.0), ("compile", None))),
        ),
    )
    config = {
        "aws:region": "us-east-1",
        "slipway:target": "cluster",
        "slipway:platform": "vllm",
        "slipway:instanceTypes": ["g6.xlarge", "g6.2xlarge"],
        "slipway:model": {"name": "llama-3.1-8b-instruct", "quantization": "fp8"},
    }
    settings = from_config("prod", config)
    types = catalog.instance_types()
    plan = ServingPlan(
        stack="prod",
        region="us-east-1",
        target=Target.CLUSTER,
        platform=Platform.VLLM,
        release=replace(catalog.release(Platform.VLLM), version="1.2.3"),
        instance_types=(types["g6.xlarge"], types["g6.2xlarge"]),
        zones=("us-east-1a", "us-east-1b"),
        root_disk_gib=110,
        root_disk_how="two versions of an image; 20 for the system",
        capacity=Capacity(market=Market.SPOT, on_demand_base=1, minimum=1, maximum=4),
        models=(planned,),
        settings=settings,
        findings=(),
    )
    return Analysis(
        stack_file=StackFile(name="prod", path=Path("Pulumi.prod.yaml"), config=config, settings=settings),
        plan=plan,
        graph=graph(
            resource("aws:ec2/subnet:Subnet", "a"),
            resource("aws:ec2/subnet:Subnet", "b"),
            resource("aws:eks/cluster:Cluster", "prod-cluster"),
            resource("kubernetes:apps/v1:Deployment", "prod-server"),
            outputs={"endpoint": UNKNOWN, "api_key": SECRET, "namespace": "llm"},
        ),
        estimate=Estimate(
            stack="prod",
            region="us-east-1",
            items=(
                _item("prod-spot", "compute spot", "0", "264.11", "1210.00"),
                _item("prod-base", "compute on demand", "587.50", "587.50", "587.50"),
                _item("prod-cluster", "control plane", "73", "73", "73"),
                _item("prod-nat", "network", "32.85", "32.85", "32.85"),
            ),
            unpriced=(
                Unpriced(resource="prod-nat", type="aws:x/y:Z", reason="data depends on use: 0.045 USD per GB"),
                Unpriced(resource="plugin", type="aws:x/y:Z", reason="what the chart makes"),
                Unpriced(resource="exporter", type="aws:x/y:Z", reason="what the chart makes"),
            ),
        ),
        findings=(
            Finding(id="SW004", severity=Severity.WARNING, subject="disk", message="is in clear", fix="encrypt it"),
            Finding(id="SW003", severity=Severity.ERROR, subject="door", message="is open", fix="close it"),
        ),
        seconds=1.5,
    )


def local() -> Analysis:
    """A model on this machine's CPU, with nothing to pay and nothing to say."""
    analysis = prod()
    model = replace(
        analysis.plan.models[0],
        name="qwen2.5-1.5b-instruct",
        gpus=0,
        replicas_max=1,
        concurrency=1,
        memory=MemoryProof(
            gpu=None, host=_budget(4.0, weights=1.0, engine=1.0), disk=_budget(4.0, weights=1.0), error_band=None
        ),
        flags=(),
        adapters=(),
        update=None,
    )
    plan = replace(
        analysis.plan,
        stack="local",
        region=None,
        target=Target.LOCAL,
        platform=Platform.OLLAMA,
        instance_types=(),
        zones=(),
        capacity=Capacity(market=Market.ON_DEMAND, on_demand_base=1, minimum=1, maximum=1),
        models=(model,),
    )
    return replace(
        analysis,
        stack_file=replace(analysis.stack_file, name="local"),
        plan=plan,
        graph=graph(resource("docker:index/container:Container", "server"), region=None),
        estimate=Estimate(stack="local", region=None, items=(), unpriced=()),
        findings=(),
    )
