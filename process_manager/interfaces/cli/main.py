"""The entry of `pm`. It imports nothing of ours until Ctrl-C is looked after."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def interrupted(_number: int, frame: FrameType | None) -> None:
    """Ctrl-C in the middle of an import ends the process: raised there, one of importlib's callbacks may swallow it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """The console script."""
    signal.signal(signal.SIGINT, interrupted)
    from process_manager.interfaces.cli.commands import cli
    from process_manager.interfaces.cli.errors import run

    sys.exit(run(cli, prog_name="pm"))


if __name__ == "__main__":
    main()
