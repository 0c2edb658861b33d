"""Orders under load while everything around them breaks: `scripts/soak --minutes 30`.

Two workers take the orders of the shipped example from a store. At random moments one of them is killed and another one started; the
server is killed and started again where it is ours; connections are cut and stalled; the disk is full for a while, where a little one
may be mounted; and the clock is set back an hour. The time stands in a file and moves on when all is settled. Afterwards every
order must have come to the one end that it comes to undisturbed, and no command may have had its effect twice.

Prints figures. The exit code is 1 when anything was lost, doubled or ended otherwise.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from process_manager.examples.order_fulfilment.orders import Plan
from scripts.soaking.ends import Ends, Load, lost, otherwise, undisturbed
from scripts.soaking.figures import Figures
from scripts.soaking.places import place_for
from scripts.soaking.rounds import Round, Stuck
from scripts.soaking.workers import TroubleMaker, Workers

TOLD = 10
"""Findings of a kind that are printed."""


def main() -> int:
    options = _options()
    seed = options.seed or time.time_ns() % 1_000_000
    figures, plan = Figures(), Plan(options.orders, 1)
    expected = undisturbed(plan)
    start = time.monotonic()
    while not figures.rounds or time.monotonic() - start < options.minutes * 60:
        figures.rounds += 1
        load = Load(plan, f"s{seed}r{figures.rounds}.")
        print(f"round {figures.rounds} on {options.store}, tag {load.tag}", file=sys.stderr)
        _round(options, load, expected, figures, random.Random(f"{seed}/{figures.rounds}"))  # noqa: S311  repeatable on purpose
        figures.seconds = round(time.monotonic() - start, 1)
        print(json.dumps(asdict(figures)), file=sys.stderr)
    _print(figures, options.output)
    return 1 if figures.bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="rounds begin for so long (default 5)")
    parser.add_argument("--store", default="sqlite", help="sqlite (default), dev: our development server, or the address of any server")
    parser.add_argument("--orders", type=int, default=1500, help="orders in a round (default 1500)")
    parser.add_argument("--pace", type=float, default=1.5, help="seconds from one trouble to the next, on average (default 1.5)")
    parser.add_argument("--seed", type=int, default=0, help="of the troubles; the default is another one each time")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    return parser.parse_args()


def _round(options: argparse.Namespace, load: Load, expected: Ends, figures: Figures, chance: random.Random) -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pm-soak-", ignore_cleanup_errors=True)))
        place = place_for(options.store, directory)
        stack.callback(place.close)
        workers = Workers(place.url, directory, figures)
        trouble = TroubleMaker(workers, place, figures, chance, options.pace)
        running = Round(load, place.direct, directory, figures, chance, trouble)
        stack.callback(running.close)
        stack.callback(workers.close)
        workers.start()
        trouble.start()
        try:
            running.run()
        except Stuck:
            print(
                f"stuck: nothing settles any more\n{running.standing()}\n{(directory / 'workers.log').read_text()[-5000:]}", file=sys.stderr
            )
        finally:
            trouble.stop()
        _judge(running.ends(), expected, figures)


def _judge(found: Ends, expected: Ends, figures: Figures) -> None:
    figures.orders += len(expected.orders)
    findings = {"lost": lost(found, expected), "doubled": found.doubled, "otherwise": otherwise(found, expected)}
    for name, wrong in findings.items():
        setattr(figures, name, getattr(figures, name) + len(wrong))
        for each in wrong[:TOLD]:
            print(f"{name}: {each}", file=sys.stderr)


def _print(figures: Figures, output: str) -> None:
    if output == "json":
        print(json.dumps(asdict(figures)))
        return
    for name, value in asdict(figures).items():
        print(f"{name.replace('_', ' '):<20} {value:>10,}")


if __name__ == "__main__":
    sys.exit(main())
