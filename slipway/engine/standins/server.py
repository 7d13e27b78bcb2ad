"""Serves providers to the engine over gRPC, from inside this process."""

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from slipway.engine.standins.base import Notebook, StandIn

_WORKERS: Final = 8
# The size the engine and the SDKs allow, and no reuse of a port that another session just left.
_OPTIONS: Final = (("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.so_reuseport", 0))


@contextmanager
def serve(providers: Mapping[str, StandIn], notebook: Notebook) -> Generator[str]:
    """Serve `providers` by package until the block ends; gives the value of PULUMI_DEBUG_PROVIDERS.

    A server each, as an engine names a provider by its port alone; they share threads and the notebook.
    """
    servers: list[grpc.Server] = []
    with ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="slipway-provider") as threads:
        try:
            ports: list[str] = []
            for package, provider in providers.items():
                provider.notebook = notebook
                server = grpc.server(threads, options=_OPTIONS)
                provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
                ports.append(f"{package}:{server.add_insecure_port('127.0.0.1:0')}")
                server.start()
                servers.append(server)
            yield ",".join(ports)
        finally:
            for stopped in [server.stop(grace=None) for server in servers]:
                stopped.wait()
