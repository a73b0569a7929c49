"""Ground: a lake's Bronze after one, two and three rounds, and what was sent until then. Made once, with a broker and a JVM; over
copies of it Silver and most verbs are tried without either."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

from campaign.checkers import bronze
from campaign.faults.processes import Broker
from campaign.generator.sender import Sent
from campaign.history import History

ROUNDS = 3


@dataclass(frozen=True)
class Ground:
    """``sent``: by round, all that was sent up to it."""

    folder: Path
    topic: str
    sent: list[list[Sent]]

    def take(self, number: int, history: History) -> None:
        """Put Bronze as it was after a round into the history's lake; Silver stays as it is there."""
        lake = history.scene.place.lake
        for name in ("bronze", "checkpoints/bronze"):
            shutil.rmtree(lake / name, ignore_errors=True)
            shutil.copytree(self.folder / str(number) / name, lake / name)
        history.sent = list(self.sent[number])


def made(tree: Path, folder: Path, broker: Broker, *, rounds: int = ROUNDS, unread: int = 0, seed: int = 7) -> Ground:
    """A new one; ``unread``: rounds that are sent and not read. Raises ``ValueError`` when Bronze is not what it must be."""
    shutil.rmtree(folder, ignore_errors=True)
    one = History(seed, tree, folder / "work", broker, rounds=rounds, messages=120)
    sent: list[list[Sent]] = []
    with one.recorded():
        for number in range(rounds):
            one.send(number)
            one.settle("bronze")
            shutil.copytree(one.scene.place.lake, folder / str(number))
            sent.append(list(one.sent))
        for number in range(rounds, rounds + unread):
            one.send(number)
            sent.append(list(one.sent))
        one.violated(bronze.check(one.scene.place.lake, sent[rounds - 1], one.scene.place.topic))
    if one.record.violations:
        raise ValueError(str(one.record.violations[0]))
    ground = Ground(folder, one.scene.place.topic, sent)
    (folder / "sent.pickle").write_bytes(pickle.dumps((ground.topic, sent)))
    return ground


def version() -> str:
    """Of the traffic: a ground that other code has sent is not gone on with."""
    sources = sorted((Path(__file__).parent / "generator").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]


def kept(folder: Path) -> Ground | None:
    """One that was made before; None when there is none."""
    path = folder / "sent.pickle"
    return Ground(folder, *pickle.loads(path.read_bytes())) if path.exists() else None  # a file of our own
