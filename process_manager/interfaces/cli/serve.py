"""`pm store serve`."""

import os
import signal
import threading

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli.errors import CliError, say
from process_manager.interfaces.cli.options import command, store_option

_PROMISE = """  for development: a laptop, a test run, CI. It answers as one EventStoreDB 23.10 node does; groups are kept like streams.
  It has no projections, users, ACLs or clusters."""


@command("serve", example="pm store serve\npm store serve --store sqlite:///shop.db --port 2114\npm store serve --store memory:")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=2113, show_default=True, help="The port to listen on; 0 takes a free one.")
@store_option
def serve(host: str, port: int, url: str) -> None:
    """Serve a store as EventStoreDB does, over gRPC, for development.

    Every client of EventStoreDB can use it, pm among them; stop it with Ctrl-C.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes of a port that is taken what we say better
    try:
        from process_manager.interfaces import devserver
    except ModuleNotFoundError as error:
        raise CliError("the development server speaks gRPC: pip install 'process-manager[esdb]'") from error
    stopping = threading.Event()
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, lambda *_: stopping.set())
    store = bootstrap.open_store(url)
    try:
        with devserver.serve(store, host, port) as server:
            say(f"serving {url} at {server.url}\n{_PROMISE}")
            stopping.wait()
            say("stopping")
    except devserver.PortTaken as error:
        raise CliError(f"{error}: name another one with --port") from error
    finally:
        store.close()
