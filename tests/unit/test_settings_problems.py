"""Every kind of bad stack file gives exactly its problems: key, message, nearest name, never a secret."""

from pathlib import Path

import pytest
from settings_stacks import GOOD, everything, refused

pytestmark = pytest.mark.unit

TOKEN = "hf_PLANTEDsecretMARKER0123456789"

CLUSTER = GOOD + "slipway:target: cluster\n"

LOCAL = """
slipway:target: local
slipway:platform: ollama
slipway:model: qwen3-8b
"""

# name: (body of the config block, [(key, message, given, nearest)])
BAD: dict[str, tuple[str, list[tuple[str, str, str | None, str | None]]]] = {
    "nothing but a comment": (
        "# empty\nx:y: 1",
        [
            ("slipway:platform", "is missing", None, None),
            ("aws:region", "is missing; the target instance runs in an AWS region", None, None),
            ("slipway:instanceTypes", "is missing; the target instance needs a machine to run on", None, None),
            ("slipway:model", "is missing; name the model to serve", None, None),
        ],
    ),
    "platform missing": (
        GOOD.replace("slipway:platform: vllm\n", ""),
        [("slipway:platform", "is missing", None, None)],
    ),
    "misspelled key": (
        GOOD + "slipway:demnad: {concurrency: 4}",
        [("slipway:demnad", "there is no such key", None, "slipway:demand")],
    ),
    "misspelled required key is reported once": (
        GOOD.replace("slipway:platform:", "slipway:platfrom:"),
        [("slipway:platfrom", "there is no such key", None, "slipway:platform")],
    ),
    "misspelled namespace": (
        GOOD.replace("slipway:model:", "slipwy:model:"),
        [("slipwy:model", "there is no such key", None, "slipway:model")],
    ),
    "misspelled provider namespace": (
        GOOD.replace("aws:region", "awss:region"),
        [("awss:region", "there is no such key", None, "aws:region")],
    ),
    "misspelled region key": (
        GOOD.replace("aws:region", "aws:regions"),
        [("aws:regions", "there is no such key", None, "aws:region")],
    ),
    "region in our namespace": (
        GOOD + "slipway:region: us-east-1",
        [("slipway:region", "there is no such key", None, "aws:region")],
    ),
    "key with too many colons": (
        GOOD + "slipway:model:name: x",
        [("slipway:model:name", "is not a configuration key", None, None)],
    ),
    "key in full and without namespace": (
        GOOD + "platform: ollama",
        [("platform", "stands twice; the first is slipway:platform", None, None)],
    ),
    "snake case": (
        GOOD + "slipway:capacity: {on_demand_base: 1}",
        [("slipway:capacity.on_demand_base", "there is no such key", None, "onDemandBase")],
    ),
    "a misspelled key hides no mistake in the right one": (
        GOOD.replace("llama-3.1", "llama-3.0") + "slipway:modle: x\nslipway:demand: {concurrency: 0, concurency: 1}",
        [
            ("slipway:model", "is not a model of the catalogue", "llama-3.0-8b-instruct", "llama-3.1-8b-instruct"),
            ("slipway:modle", "there is no such key", None, "slipway:model"),
            ("slipway:demand.concurrency", "must be at least 1", "0", None),
            ("slipway:demand.concurency", "there is no such key", None, "concurrency"),
        ],
    ),
    "unknown nested key": (
        GOOD + "slipway:demand: {contextLenght: 4096}",
        [("slipway:demand.contextLenght", "there is no such key", None, "contextLength")],
    ),
    "unknown target": (
        GOOD + "slipway:target: clutser",
        [("slipway:target", "must be one of local, instance, cluster", "clutser", "cluster")],
    ),
    "unknown platform": (
        GOOD.replace("vllm", "vlm"),
        [("slipway:platform", "must be one of vllm, gpustack, localai, ollama", "vlm", "vllm")],
    ),
    "unknown preset": (
        GOOD + "slipway:preset: huge",
        [("slipway:preset", "must be one of small, balanced, large", "huge", None)],
    ),
    "unknown market": (
        GOOD + "slipway:capacity: {market: spt}",
        [("slipway:capacity.market", "must be one of on-demand, spot", "spt", "spot")],
    ),
    "unknown quantization": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:model: {name: qwen3-8b, quantization: fp88}"),
        [
            (
                "slipway:model.quantization",
                "must be one of none, fp8, awq, gptq, mxfp4, q4_k_m, q8_0",
                "fp88",
                "fp8",
            )
        ],
    ),
    "whole number as text": (
        GOOD + 'slipway:demand: {concurrency: "8"}',
        [("slipway:demand.concurrency", "must be a whole number", "8", None)],
    ),
    "fraction for a whole number": (
        GOOD + "slipway:demand: {concurrency: 8.5}",
        [("slipway:demand.concurrency", "must be a whole number", "8.5", None)],
    ),
    "negative size": (
        GOOD + "slipway:storage: {diskGib: -100}",
        [("slipway:storage.diskGib", "must be at least 1", "-100", None)],
    ),
    "absurd size": (
        GOOD + "slipway:demand: {tokensPerDay: 99999999999999999999}",
        [("slipway:demand.tokensPerDay", "must be at most 1,000,000,000,000", "99999999999999999999", None)],
    ),
    "too fast a disk": (
        GOOD + "slipway:storage: {throughputMibS: 4000}",
        [("slipway:storage.throughputMibS", "must be at most 2,000", "4000", None)],
    ),
    "memory share as percent": (
        GOOD.replace("slipway:model: llama", "slipway:model: {gpuMemoryUtilization: 90, name: llama") + "}",
        [("slipway:model.gpuMemoryUtilization", "must be less than 1", "90", None)],
    ),
    "budget of nothing": (
        GOOD + "slipway:budget: {monthlyUsd: 0}",
        [("slipway:budget.monthlyUsd", "must be more than 0", "0", None)],
    ),
    "budget without amount": (
        GOOD + "slipway:budget: {onExceed: fail}",
        [("slipway:budget.monthlyUsd", "is missing", None, None)],
    ),
    "budget not a number": (
        GOOD + "slipway:budget: {monthlyUsd: .nan}",
        [("slipway:budget.monthlyUsd", "must be a finite number", "NaN", None)],
    ),
    "section as text": (
        GOOD + "slipway:capacity: spot",
        [("slipway:capacity", "must be a mapping of keys to values", "spot", None)],
    ),
    "list as mapping": (
        GOOD.replace("slipway:instanceTypes: g6.xlarge", "slipway:instanceTypes: {preferred: g6.xlarge}"),
        [("slipway:instanceTypes", "must be a list", '{"preferred": "g6.xlarge"}', None)],
    ),
    "models as mapping": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:models: {name: qwen3-8b}"),
        [("slipway:models", "must be a list", '{"name": "qwen3-8b"}', None)],
    ),
    "model as list": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:model: [qwen3-8b]"),
        [("slipway:model", "must be a mapping of keys to values", '["qwen3-8b"]', None)],
    ),
    "model without name": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:model: {quantization: fp8}"),
        [("slipway:model.name", "is missing", None, None)],
    ),
    "empty value inside": (
        GOOD + "slipway:demand: {concurrency: }",
        [("slipway:demand.concurrency", "is empty", None, None)],
    ),
    "flag that is neither": (
        GOOD + "slipway:protect: yes",
        [("slipway:protect", "must be true or false", "yes", None)],
    ),
    "Kubernetes version without quotes": (
        GOOD + "slipway:target: cluster\nslipway:kubernetes: {version: 1.30}",
        [("slipway:kubernetes.version", "must be text", "1.3", None)],
    ),
    "Kubernetes version of another form": (
        GOOD + "slipway:target: cluster\nslipway:kubernetes: {version: v1.35}",
        [("slipway:kubernetes.version", 'must be a Kubernetes version such as "1.35"', "v1.35", None)],
    ),
    "administrator that is no role": (
        GOOD + "slipway:target: cluster\nslipway:kubernetes: {adminRoleArns: [admin]}",
        [
            (
                "slipway:kubernetes.adminRoleArns[0]",
                "must be the ARN of an IAM role such as arn:aws:iam::123456789012:role/admin",
                "admin",
                None,
            )
        ],
    ),
    "unknown model": (
        GOOD.replace("llama-3.1-8b-instruct", "llama-3.1-8b-instuct"),
        [("slipway:model", "is not a model of the catalogue", "llama-3.1-8b-instuct", "llama-3.1-8b-instruct")],
    ),
    "Hugging Face id of a known model": (
        GOOD.replace("llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        [
            (
                "slipway:model",
                "is not a model of the catalogue",
                "meta-llama/Llama-3.1-8B-Instruct",
                "llama-3.1-8b-instruct",
            )
        ],
    ),
    "unknown model in a list": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:models: [qwen3-8b, {name: qwen4-8b}]"),
        [("slipway:models[1].name", "is not a model of the catalogue", "qwen4-8b", "qwen3-8b")],
    ),
    "same model twice": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:models: [qwen3-8b, qwen3-8b]"),
        [("slipway:models[1]", "this model is already served by the stack", "qwen3-8b", None)],
    ),
    "model and models": (
        GOOD + "slipway:models: [qwen3-8b]",
        [("slipway:models", "stands beside `model`", None, None)],
    ),
    "facts of a known model": (
        GOOD.replace(
            "slipway:model: llama-3.1-8b-instruct",
            "slipway:model: {name: qwen3-8b, facts: {parametersB: 8, layers: 36, heads: 32, kvHeads: 8, headDim: 128, "
            "hiddenSize: 4096, vocabulary: 151936, maxContext: 40960}}",
        ),
        [("slipway:model.facts", "the catalogue already knows this model", None, None)],
    ),
    "impossible facts": (
        GOOD.replace(
            "slipway:model: llama-3.1-8b-instruct",
            "slipway:model: {name: mine, facts: {parametersB: 8, activeParametersB: 9, layers: 36, heads: 32, "
            "kvHeads: 5, headDim: 128, hiddenSize: 4096, vocabulary: 151936, maxContext: 40960}}",
        ),
        [
            ("slipway:model.name", "must be a Hugging Face id such as org/name", "mine", None),
            ("slipway:model.facts.activeParametersB", "must be at most parametersB, which is 8", "9", None),
            ("slipway:model.facts.kvHeads", "must divide heads, which is 32", "5", None),
        ],
    ),
    "unfinished facts": (
        GOOD.replace("slipway:model: llama-3.1-8b-instruct", "slipway:model: {name: o/m, facts: {parametersB: 8}}"),
        [
            (f"slipway:model.facts.{key}", "is missing", None, None)
            for key in ("layers", "heads", "kvHeads", "headDim", "hiddenSize", "vocabulary", "maxContext")
        ],
    ),
    "unknown instance type": (
        GOOD.replace("g6.xlarge", "g6.xlrage"),
        [("slipway:instanceTypes", "is not an instance type of the catalogue", "g6.xlrage", "g6.xlarge")],
    ),
    "unknown instance type beside a broken one": (
        GOOD.replace("g6.xlarge", "[g6.xlrage, 5]"),
        [
            ("slipway:instanceTypes[0]", "is not an instance type of the catalogue", "g6.xlrage", "g6.xlarge"),
            ("slipway:instanceTypes[1]", "must be text", "5", None),
        ],
    ),
    "instance type twice": (
        GOOD.replace("g6.xlarge", "[g6.xlarge, g6.xlarge]"),
        [("slipway:instanceTypes[1]", "stands twice", "g6.xlarge", None)],
    ),
    "different GPUs": (
        GOOD.replace("g6.xlarge", "[g6.xlarge, g5.xlarge]"),
        [("slipway:instanceTypes[1]", "does not have the same GPUs as g6.xlarge", "g5.xlarge", None)],
    ),
    "no instance type": (
        GOOD.replace("slipway:instanceTypes: g6.xlarge\n", ""),
        [("slipway:instanceTypes", "is missing; the target instance needs a machine to run on", None, None)],
    ),
    "instance type on this machine": (
        GOOD.replace("vllm", "ollama") + "slipway:target: local",
        [
            (
                "slipway:instanceTypes",
                "the local target runs on this machine and takes no instance types",
                "g6.xlarge",
                None,
            )
        ],
    ),
    "AWS sections on this machine": (
        LOCAL + "slipway:capacity: {market: spot}\nslipway:network: {zones: 2}\nslipway:kubernetes: {version: '1.35'}",
        [
            ("slipway:capacity", "the local target runs on this machine and buys no capacity", None, None),
            ("slipway:network", "has no meaning for the target local", None, None),
            ("slipway:kubernetes", "has no meaning for the target local", None, None),
        ],
    ),
    "GPUStack on this machine": (
        LOCAL.replace("ollama", "gpustack"),
        [("slipway:platform", "does not run on the local target", "gpustack", None)],
    ),
    "no region": (
        GOOD.replace("aws:region: us-east-1\n", ""),
        [("aws:region", "is missing; the target instance runs in an AWS region", None, None)],
    ),
    "unknown region": (
        GOOD.replace("us-east-1", "us-esat-1"),
        [("aws:region", "is not a region of the catalogue", "us-esat-1", "us-east-1")],
    ),
    "region as list": (
        GOOD.replace("us-east-1", "[us-east-1]"),
        [("aws:region", "must be text", '["us-east-1"]', None)],
    ),
    "max below min": (
        GOOD + "slipway:target: cluster\nslipway:capacity: {min: 3, max: 2}",
        [("slipway:capacity.max", "must be at least min, which is 3", "2", None)],
    ),
    "base above min": (
        GOOD + "slipway:target: cluster\nslipway:capacity: {market: spot, onDemandBase: 2, min: 1}",
        [("slipway:capacity.onDemandBase", "must be at most min, which is 1", "2", None)],
    ),
    "base without spot": (
        GOOD + "slipway:target: cluster\nslipway:capacity: {onDemandBase: 1}",
        [("slipway:capacity.onDemandBase", "has no meaning without market spot", "1", None)],
    ),
    "several machines on the instance target": (
        GOOD + "slipway:capacity: {min: 2, max: 3}",
        [
            ("slipway:capacity.min", "must be 1: the instance target is a single machine", "2", None),
            ("slipway:capacity.max", "must be 1: the instance target is a single machine", "3", None),
        ],
    ),
    "shared cache on one machine": (
        GOOD + "slipway:storage: {cache: shared}",
        [
            (
                "slipway:storage.cache",
                "has no meaning for the target instance: weights live on its one disk",
                "shared",
                None,
            )
        ],
    ),
    "shared cache on this machine": (
        LOCAL + "slipway:storage: {cache: volume}",
        [
            (
                "slipway:storage.cache",
                "has no meaning for the target local: weights live on its one disk",
                "volume",
                None,
            )
        ],
    ),
    "shared cache for servers that do not lock": (
        GOOD.replace("vllm", "ollama") + "slipway:target: cluster\nslipway:storage: {cache: shared}",
        [
            (
                "slipway:storage.cache",
                "ollama does not lock its model directory, so several servers must not write to one",
                "shared",
                None,
            )
        ],
    ),
    "volume for GPUStack": (
        GOOD.replace("vllm", "gpustack") + "slipway:target: cluster\nslipway:storage: {cache: volume}",
        [("slipway:storage.cache", "GPUStack's workers keep weights on their nodes", "volume", None)],
    ),
    "misspelled cache": (
        GOOD + "slipway:target: cluster\nslipway:storage: {cache: shard}",
        [("slipway:storage.cache", "must be one of auto, node, volume, shared", "shard", "shared")],
    ),
    "VPC without subnets": (
        GOOD + "slipway:network: {vpcId: vpc-0a1b2c3d4e5f60718}",
        [
            (
                "slipway:network.privateSubnetIds",
                "must name at least two different private subnets of the VPC",
                None,
                None,
            )
        ],
    ),
    "the same subnet twice": (
        GOOD + "slipway:network: {vpcId: vpc-0a1b2c3d, privateSubnetIds: [subnet-0a1b2c3d, subnet-0a1b2c3d]}",
        [
            (
                "slipway:network.privateSubnetIds",
                "must name at least two different private subnets of the VPC",
                '["subnet-0a1b2c3d", "subnet-0a1b2c3d"]',
                None,
            )
        ],
    ),
    "subnets without VPC": (
        GOOD + "slipway:network: {privateSubnetIds: [subnet-0a1b2c3d, subnet-1a1b2c3d]}",
        [("slipway:network.privateSubnetIds", "needs vpcId, the VPC they belong to", None, None)],
    ),
    "VPC id of another form is reported once": (
        GOOD + "slipway:network: {vpcId: my-vpc, privateSubnetIds: [subnet-0a1b2c3d, subnet-1a1b2c3d]}",
        [("slipway:network.vpcId", "must be a VPC id such as vpc-0a1b2c3d4e5f60718", "my-vpc", None)],
    ),
    "address range that is none": (
        GOOD + "slipway:network: {cidr: 10.64.0.0}",
        [("slipway:network.cidr", "must be an IPv4 range such as 10.64.0.0/16", "10.64.0.0", None)],
    ),
    "address range off its boundary": (
        GOOD + "slipway:network: {cidr: 10.64.1.0/16}",
        [("slipway:network.cidr", "has bits set behind the prefix", "10.64.1.0/16", "10.64.0.0/16")],
    ),
    "address range too small": (
        GOOD + "slipway:network: {cidr: 10.64.0.0/28}",
        [("slipway:network.cidr", "must be between /16 and /24", "10.64.0.0/28", None)],
    ),
    "API open to the world": (
        GOOD + "slipway:network: {apiAccessCidrs: [203.0.113.0/24, 0.0.0.0/0]}",
        [
            (
                "slipway:network.apiAccessCidrs[1]",
                "would open the cluster's API to the whole internet",
                "0.0.0.0/0",
                None,
            )
        ],
    ),
    "gateway open to the world": (
        CLUSTER + "slipway:gateway: {sourceCidrs: [203.0.113.0/24, 0.0.0.0/0, 10.0.0.1/8]}",
        [
            ("slipway:gateway.sourceCidrs[1]", "would open the gateway to every address", "0.0.0.0/0", None),
            ("slipway:gateway.sourceCidrs[2]", "has bits set behind the prefix", "10.0.0.1/8", "10.0.0.0/8"),
        ],
    ),
    "public gateway without TLS, for everybody": (
        CLUSTER + "slipway:gateway: {exposure: public}",
        [
            ("slipway:gateway.certificateArn", "is needed by the exposure `public`", None, None),
            ("slipway:gateway.sourceCidrs", "is needed by the exposure `public`", None, None),
        ],
    ),
    "certificate without its name": (
        CLUSTER
        + "slipway:gateway: {certificateArn: 'arn:aws:acm:us-east-1:111122223333:certificate/0a1b', sourceCidrs: []}",
        [("slipway:gateway.host", "is needed beside certificateArn", None, None)],
    ),
    "clients of a load balancer that is not made": (
        CLUSTER + "slipway:gateway: {exposure: cluster, sourceCidrs: [203.0.113.0/24], host: llm.example.com}",
        [
            (
                f"slipway:gateway.{key}",
                "describes a load balancer, and exposure `cluster` makes none",
                None,
                None,
            )
            for key in ("sourceCidrs", "host")
        ],
    ),
    "gateway of a target that has none": (
        GOOD + "slipway:gateway: {exposure: cluster}",
        [("slipway:gateway", "has no meaning for the target instance", None, None)],
    ),
    "gateway beside GPUStack's own": (
        CLUSTER.replace("platform: vllm", "platform: gpustack") + "slipway:gateway: {exposure: cluster}",
        [("slipway:gateway", "has no meaning for GPUStack, which brings a gateway of its own", None, None)],
    ),
    "unknown exposure": (
        CLUSTER + "slipway:gateway: {exposure: publik}",
        [("slipway:gateway.exposure", "must be one of cluster, internal, public", "publik", "public")],
    ),
    "tag of AWS": (
        GOOD + "slipway:tags: {'aws:team': x}",
        [("slipway:tags.aws:team", "tags beginning with aws: belong to AWS", None, None)],
    ),
    "tag with a number": (
        GOOD + "slipway:tags: {costCenter: 42}",
        [("slipway:tags.costCenter", "must be text", "42", None)],
    ),
    "tag with characters AWS refuses": (
        GOOD + "slipway:tags: {team: a;b}",
        [("slipway:tags.team", "may hold letters, digits, spaces and + - = . _ : / @ only", "a;b", None)],
    ),
    "too many tags": (
        GOOD + f"slipway:tags: {{{', '.join(f't{number}: x' for number in range(51))}}}",
        [("slipway:tags", "must be at most 50, AWS's limit for a resource", None, None)],
    ),
    "token in clear": (
        GOOD + f"slipway:hfToken: {TOKEN}",
        [("slipway:hfToken", "secret in clear: the value must be encrypted", None, None)],
    ),
    "key in clear": (
        GOOD + "slipway:apiKey: hunter2hunter2",
        [("slipway:apiKey", "secret in clear: the value must be encrypted", None, None)],
    ),
    "encrypted value inside a section": (
        GOOD + "slipway:budget: {monthlyUsd: {secure: AAABAMbcd==}}",
        [
            (
                "slipway:budget.monthlyUsd",
                "an encrypted value can only stand at slipway:apiKey and slipway:hfToken",
                None,
                None,
            )
        ],
    ),
    "token in a tag": (
        GOOD + f"slipway:tags: {{token: {TOKEN}}}",
        [("slipway:tags.token", "secret in clear: this looks like an access token", None, None)],
    ),
    "token in a foreign key": (
        GOOD + "aws:accessKey: AKIAIOSFODNN7EXAMPLE",
        [("aws:accessKey", "secret in clear: this looks like an access token", None, None)],
    ),
    "token under a misspelled key": (
        GOOD + f"slipway:hfTokn: {TOKEN}",
        [("slipway:hfTokn", "there is no such key", None, "slipway:hfToken")],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_stack_gives_exactly_its_problems(name: str, tmp_path: Path) -> None:
    body, expected = BAD[name]
    problems = refused(tmp_path, body)
    assert [(found.key, found.message, found.given, found.nearest) for found in problems] == expected


@pytest.mark.parametrize("name", BAD)
def test_no_problem_repeats_a_secret(name: str, tmp_path: Path) -> None:
    said = everything(refused(tmp_path, BAD[name][0]))
    assert TOKEN not in said
    assert "hunter2" not in said
    assert "AKIA" not in said
    assert "AAABAM" not in said


@pytest.mark.parametrize("name", BAD)
def test_a_problem_uses_no_terms_of_the_parser(name: str, tmp_path: Path) -> None:
    said = everything(refused(tmp_path, BAD[name][0])).lower()
    assert not [
        term for term in ("pydantic", "input should", "validation error", "extra inputs", "nonetype") if term in said
    ]


def test_all_mistakes_of_a_file_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    problems = refused(
        tmp_path,
        """
aws:region: us-esat-1
slipway:target: cluster
slipway:platform: vlm
slipway:instanceTypes: [g6.xlrage]
slipway:models:
  - name: llama-3.1-8b-instuct
    contextLength: 0
slipway:capacity: {min: 2, max: 1}
slipway:hfToken: hunter2hunter2
slipway:tags: {team: hunter2hunter2, 'aws:x': y}
""",
    )
    assert [(found.line, found.key) for found in problems] == [
        (2, "aws:region"),
        (4, "slipway:platform"),
        (5, "slipway:instanceTypes[0]"),
        (7, "slipway:models[0].name"),
        (8, "slipway:models[0].contextLength"),
        (9, "slipway:capacity.max"),
        (10, "slipway:hfToken"),
        (11, "slipway:tags.aws:x"),
    ]
    assert {found.file for found in problems} == {"Pulumi.test.yaml"}
    assert "hunter2" not in everything(problems)


def test_a_secret_in_clear_names_the_command_that_sets_it(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, GOOD + f"slipway:hfToken: {TOKEN}")
    assert problem.hint == "pulumi config set --secret slipway:hfToken --stack test; treat the old value as leaked"


def test_a_clear_secret_is_hidden_where_other_values_repeat_it(tmp_path: Path) -> None:
    """A password that also stands in a broken value would otherwise be shown as `given`."""
    problems = refused(tmp_path, GOOD + "slipway:apiKey: correct-horse\nslipway:target: correct-horse-battery")
    assert [(found.key, found.given) for found in problems] == [
        ("slipway:apiKey", None),
        ("slipway:target", "(hidden)-battery"),
    ]


def test_control_characters_of_a_value_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """An escape sequence in a stack file from a fork could otherwise rewrite the reviewer's screen."""
    (problem,) = refused(tmp_path, GOOD + 'slipway:target: "\\e[2Jlocal"')
    assert problem.given == "\\x1b[2Jlocal"


def test_allowed_values_are_listed_where_they_are_few(tmp_path: Path) -> None:
    (target,) = refused(tmp_path, GOOD + "slipway:target: moon")
    (nested,) = refused(tmp_path, GOOD + "slipway:budget: {monthlyUsd: 5, onExeed: fail}")
    (gpus,) = refused(tmp_path, GOOD.replace("g6.xlarge", "[p5.4xlarge, g5.xlarge]"))
    assert target.allowed == ("local", "instance", "cluster")
    assert nested.allowed == ("monthlyUsd", "onExceed")
    assert gpus.allowed == ()


def test_a_key_without_namespace_is_named_as_it_stands(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, GOOD.replace("slipway:", "").replace("xlarge", "xlrage"))
    assert (problem.key, problem.line) == ("instanceTypes", 4)


def test_a_quoted_number_is_told_to_lose_its_quotes_and_a_bare_version_to_get_them(tmp_path: Path) -> None:
    (quoted,) = refused(tmp_path, GOOD + 'slipway:demand: {concurrency: "8"}')
    (word,) = refused(tmp_path, GOOD + "slipway:demand: {concurrency: eight}")
    (bare,) = refused(tmp_path, GOOD + "slipway:target: cluster\nslipway:kubernetes: {version: 1.30}")
    assert (quoted.hint, word.hint, bare.hint) == ("write it without quotes", None, "put it in quotes")
