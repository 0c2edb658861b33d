"""`pm store serve`."""

import os
import signal
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import shown
from process_manager.interfaces.cli.errors import REFUSED, CliError, say
from process_manager.interfaces.cli.options import command, store_option
from process_manager.interfaces.file_locks import hold_to_serve

if TYPE_CHECKING:
    from process_manager.interfaces import devserver
    from process_manager.ports import EventStore

PASSWORD = "PM_DEVSERVER_PASSWORD"  # noqa: S105  the name of a variable

_PROMISE = """  For development: a laptop, a test run, CI. It answers as one EventStoreDB 23.10 node does, and keeps streams and
  groups in the store. It has no projections, no users but admin, no access control, no cluster. Stop it with Ctrl-C."""

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@command("serve", example="pm store serve\npm store serve --store sqlite:///shop.db --port 2114\npm store serve --store memory:")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=2113, show_default=True, help="The port to listen on; 0 takes a free one.")
@click.option("--tls-cert", type=_file, metavar="FILE", help="Speak TLS with this certificate (PEM).")
@click.option("--tls-key", type=_file, metavar="FILE", help="The certificate's key (PEM).")
@click.option("--allow-remote", is_flag=True, help="Let other machines in: a host that is not loopback.")
@store_option
def serve(host: str, port: int, tls_cert: Path | None, tls_key: Path | None, allow_remote: bool, url: str) -> None:
    """Serve a store as EventStoreDB does, over gRPC, for development.

    Every client of EventStoreDB can use it, pm among them. With TLS it wants the user admin and the
    password in PM_DEVSERVER_PASSWORD; --allow-remote needs TLS.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes of a port that is taken what we say better
    try:
        from process_manager.interfaces import devserver
    except ModuleNotFoundError as error:
        raise CliError("the development server speaks gRPC: pip install 'process-manager[esdb]'") from error
    if url.startswith(("esdb", "kurrentdb")):
        raise CliError(f"{shown(url)} is served already: name an embedded store, as in --store sqlite:///shop.db", REFUSED)
    security = _security(tls_cert, tls_key)
    if not devserver.is_loopback(host) and not (allow_remote and security):
        raise CliError(f"{host} lets other machines in: say --allow-remote, with --tls-cert, --tls-key and {PASSWORD}", REFUSED)
    try:
        devserver.check_free(host, port)
        if not hold_to_serve(url):
            raise CliError(f"{url} is served already by another process: one server has a file, and many clients", REFUSED)
        with closing(bootstrap.open_store(url)) as store:
            bootstrap.refuse_imported(store, url)
            _serve(store, url, host, port, security)
    except devserver.PortTaken as error:
        raise CliError(f"{error}: name another one with --port") from error


def _security(certificate: Path | None, key: Path | None) -> "devserver.Security | None":
    password = os.environ.get(PASSWORD, "")
    if not (certificate or key or password):
        return None
    if not (certificate and key and password):
        raise CliError(f"a secure server needs all three: --tls-cert, --tls-key, and a password in {PASSWORD}", REFUSED)
    from process_manager.interfaces.devserver import Security

    return Security(certificate, key, password)


def _serve(store: "EventStore", url: str, host: str, port: int, security: "devserver.Security | None") -> None:
    """Serve until a signal comes."""
    from process_manager.interfaces import devserver

    stopping = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)  # they wait for us, in this thread and in those that it starts
    try:
        with devserver.serve(store, host, port, security) as server:
            say(f"serving {url} at {server.url}\n{_PROMISE}")
            signal.sigwait(stopping)
            say("stopping")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
