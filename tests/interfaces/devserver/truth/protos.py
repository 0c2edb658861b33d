"""The protocol's modules, untyped: requests are written as nested dictionaries."""

from importlib import import_module
from typing import Any


def _load(name: str) -> Any:
    return import_module(f"esdbclient.protos.Grpc.{name}")


gossip_pb2, gossip_pb2_grpc = _load("gossip_pb2"), _load("gossip_pb2_grpc")
persistent_pb2, persistent_pb2_grpc = _load("persistent_pb2"), _load("persistent_pb2_grpc")
streams_pb2, streams_pb2_grpc = _load("streams_pb2"), _load("streams_pb2_grpc")
shared_pb2 = _load("shared_pb2")

Json = dict[str, Any]
Expected = int | str
