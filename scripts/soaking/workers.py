"""Worker processes, and the trouble that is made for them."""

import json
import random
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from scripts.soaking.figures import Figures
from scripts.soaking.places import Place

OUTSIDE = 0.4
"""How much of the trouble is the store's."""


@dataclass
class Workers:
    """Worker processes on a store, each started again when it has ended."""

    url: str
    directory: Path
    figures: Figures
    count: int = 2
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    def start(self) -> None:
        """Start those that are missing."""
        self.running = [each for each in self.running if each.poll() is None]
        while len(self.running) < self.count:
            self.figures.restarts += self.started >= self.count
            self.started += 1
            command = [sys.executable, "-m", "scripts.soaking.worker", self.url, str(self.directory / "clock")]
            with (self.directory / "workers.log").open("ab") as log:
                counts = self.directory / f"counts-{self.started}.json"
                self.running.append(subprocess.Popen([*command, str(counts)], stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def kill(self, chance: random.Random) -> None:
        victim = chance.choice(self.running)
        victim.kill()
        victim.wait()
        self.figures.workers_killed += 1

    def close(self) -> None:
        for each in self.running:
            each.terminate()
        for each in self.running:
            with suppress(subprocess.TimeoutExpired):
                each.wait(20)
            each.kill()
            each.wait()
        for path in self.directory.glob("counts-*.json"):
            with suppress(ValueError):  # killed while writing
                counts = json.loads(path.read_text())
                self.figures.duplicates_offered += counts["duplicates"]
                self.figures.conflicts += counts["conflicts"]


class TroubleMaker(Thread):
    """Makes trouble at random moments until it is stopped."""

    def __init__(self, workers: Workers, place: Place, figures: Figures, chance: random.Random, pace: float) -> None:
        super().__init__(name="trouble", daemon=True)
        self._workers = workers
        self._place = place
        self._figures = figures
        self._chance = chance
        self._pace = pace
        self._end = Event()
        self.calm = Event()
        """Set for as long as there is to be no trouble, other than that workers which end are started again."""
        self.killed = Event()
        """Set once a worker was killed: a round in which none was proves nothing."""

    def run(self) -> None:
        while not self._end.wait(self._chance.expovariate(1 / self._pace)):
            self._workers.start()
            if self.calm.is_set():
                continue
            if self._place.troubles and self._chance.random() < OUTSIDE:
                self._outside()
            else:
                self._workers.kill(self._chance)
                self.killed.set()
            self._workers.start()

    def _outside(self) -> None:
        trouble = self._chance.choice(self._place.troubles)
        trouble.happen(self._end)
        setattr(self._figures, trouble.name, getattr(self._figures, trouble.name) + 1)

    def stop(self) -> None:
        self._end.set()
        self.join()
        self._workers.start()
