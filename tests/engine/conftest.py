"""The real engine, obtained once for the whole run."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.engine import Engine, obtain

SETTINGS = """
name: slipway
runtime: {name: python, options: {toolchain: pip, virtualenv: .venv}}
config:
  slipway:size: {type: integer, default: 3}
"""
IMPORTS = """
import pulumi
import pulumi_aws as aws
import pulumi_docker as docker
import pulumi_kubernetes as k8s
import pulumi_random as random
"""


@pytest.fixture(scope="session", autouse=True)
def engine() -> Engine:
    return obtain()


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """A project folder with the given program; `declared` adds to the configuration it declares."""

    def make(program: str, declared: str = "") -> Path:
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        (folder / "Pulumi.yaml").write_text(SETTINGS + declared)
        (folder / "__main__.py").write_text(IMPORTS + textwrap.dedent(program))
        return folder

    return make
