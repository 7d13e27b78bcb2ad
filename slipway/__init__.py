"""Slipway: self-hosted LLM serving as Pulumi stacks, proven and priced before anything is created."""

__version__ = "0.1.0"
