"""The person who operates the lake: types the verbs, and does what a stopped job says is to be typed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from campaign.faults.processes import Job
from campaign.faults.scene import Scene, Strike
from campaign.generator.sender import Sent

_COMMAND = re.compile(r"python ((?:ops_utils|spark_streaming_delta|streaming_silver)\.py(?: [\w:*/=-]+)*)")
_ASKS = {"rebuild", "restore-table", "erase"}
"""Verbs that ask a person, who says yes."""
_ADVICE = re.compile(
    r"\b(?:[Tt]ype|[Ss]ee|[Ss]et|[Ss]tart|[Ss]top|[Mm]ake room|[Ll]ook|[Rr]un|again|wait|repeats|python)\b"
)
STORE = "backups"


def named_command(said: str) -> list[str] | None:
    """The command that a message names last, as it is to be typed by one who means it."""
    found = _COMMAND.findall(said)
    if not found:
        return None
    words: list[str] = found[-1].split()
    if words[0] == "spark_streaming_delta.py" and "--once" not in words:
        words.append("--once")
    if len(words) > 1 and words[1] in _ASKS:
        words.append("--yes")
    return words


def is_loud(said: str) -> bool:
    """Whether the end of what a job said is a sentence with advice, and no stack trace."""
    lines = [line for line in said.splitlines() if line.strip()]
    return bool(lines) and "Traceback" not in said and bool(_ADVICE.search(" ".join(lines[-3:])))


def follow(scene: Scene, said: str) -> Job | None:
    """Type what the message names; None when it names nothing."""
    words = named_command(said)
    return scene.place.start("person", *words) if words else None


Verb = Callable[[Scene, Sequence[Sent]], Strike]


def _done(name: str, job: Job, *right: int, detail: str = "") -> Strike:
    code = job.wait()
    return Strike(name, "operator", code in (right or (0,)), detail or ("" if code == 0 else job.said(300)), code)


def status(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``status`` says how the processes are; 1 when one is not as it should be."""
    return _done("status", scene.verb("status"), 0, 1)


def reconcile(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``reconcile`` beside whatever runs: balanced at any moment."""
    return _done("reconcile", scene.verb("reconcile"))


def backup(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``backup create``."""
    return _done("backup create", scene.verb("backup", "create", "--store", str(scene.place.folder / STORE)))


def maintain(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``maintain``: what is old goes, small files are merged."""
    return _done("maintain", scene.verb("maintain", "--yes"))


def erase(scene: Scene, sent: Sequence[Sent]) -> Strike:
    """``erase`` of a person who bought something; typed once more when Silver has followed (``erased_again``)."""
    people = {each.message.person for each in sent if each.message.person} - set(scene.known.erased)
    if not people:
        return Strike("erase", "operator", False, "nobody is to be erased")
    client = min(people)
    scene.known.erased[client] = str(client)
    return _done("erase", scene.verb("erase", "--client-id", str(client), "--yes", "--wait", "2 minutes"), 0, 1)


def erased_again(scene: Scene) -> Sequence[Strike]:
    """The same commands again, as they ask for, after Silver has run: nothing is left."""
    words = [("erase", "--client-id", str(client), "--yes", "--wait", "10 s") for client in scene.known.erased]
    return [_done("erase, typed again", scene.verb(*each)) for each in words]


def replay(scene: Scene, sent: Sequence[Sent]) -> Strike:
    """``rejects replay`` of a sale that was dated too far ahead, with a time that is right."""
    waiting = [
        each
        for each in sent
        if each.message.kind == "future" and (each.partition, each.offset) not in scene.known.corrected
        and not scene.known.is_lost(each.partition, each.offset)
    ]  # fmt: skip
    if not waiting:
        return Strike("rejects replay", "operator", False, "no such message")
    chosen = scene.chance.choice(waiting)
    right = chosen.message.right_time
    scene.known.corrected[chosen.partition, chosen.offset] = {"timestamp": right}
    return _replayed(scene, (chosen.partition, chosen.offset), {"timestamp": right})


def _replayed(scene: Scene, place: tuple[int, int], fields: Mapping[str, str]) -> Strike:
    changes = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    where = f"{place[0]}:{place[1]}"
    return _done("rejects replay", scene.verb("rejects", "replay", where, *changes), detail=where)


def restore_table(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``restore-table`` of the sales to one of the last versions. What was replayed and left with it is replayed again."""
    if scene.known.erased or scene.known.lost:
        return Strike("restore-table", "operator", False, "something has left that Kafka could not give back")
    log = scene.place.lake / "bronze" / "ventes_stream" / "_delta_log"
    newest = max((int(path.stem) for path in log.glob("[0-9]*.json") if path.stem.isdigit()), default=0)
    if newest < 3:
        return Strike("restore-table", "operator", False, "too few versions")
    version = newest - scene.chance.randrange(1, 3)
    done = _done(
        "restore-table",
        scene.verb("restore-table", "ventes_stream", "--version", str(version), "--yes"),
        detail=f"{newest} to {version}",
    )
    again = [_replayed(scene, place, fields) for place, fields in scene.known.corrected.items()]
    return replace(done, hit=done.hit and all(each.exit_code == 0 for each in again))


def rebuild(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``rebuild`` of a job's checkpoint that is sound: all is read again, and nothing comes twice."""
    job = scene.chance.choice(("bronze", "silver"))
    if job == "bronze" and scene.known.lost:
        job = "silver"
    return _done("rebuild", scene.verb("rebuild", job, "--anyway", "--yes"), detail=job)


def rebuild_silver(scene: Scene, _sent: Sequence[Sent]) -> Strike:
    """``rebuild silver`` of a checkpoint that is sound."""
    return _done("rebuild", scene.verb("rebuild", "silver", "--anyway", "--yes"), detail="silver")


def restore_elsewhere(scene: Scene, sent: Sequence[Sent]) -> Strike:
    """A backup is made and restored into another folder, and from now on the jobs work there."""
    if not (made := backup(scene, sent)).hit:
        return made
    other = scene.place.folder / f"data-{scene.chance.randrange(10**6)}"
    store = str(scene.place.folder / STORE)
    job = scene.verb("backup", "restore", "latest", "--to", str(other), "--store", store)
    done = _done("backup restore", job)
    if done.hit:
        shutil.rmtree(scene.place.lake)
        scene.place.lake = other
        scene.known.kept_from = {
            log.parent.relative_to(other).as_posix(): max(int(path.stem) for path in log.glob("[0-9]*.json"))
            for log in other.glob("*/*/_delta_log")
        }
    return done


def drill(scene: Scene, sent: Sequence[Sent]) -> Strike:
    """``backup verify --restore``: restored into a scratch folder and reconciled there."""
    if not (made := backup(scene, sent)).hit:
        return made
    store = str(scene.place.folder / STORE)
    return _done("backup verify --restore", scene.verb("backup", "verify", "latest", "--restore", "--store", store))


RUNNING: Mapping[str, Verb] = {
    "status": status, "reconcile": reconcile, "backup create": backup, "erase": erase, "maintain": maintain,
}  # fmt: skip
STOPPED: Mapping[str, Verb] = {
    "maintain": maintain, "rejects replay": replay, "erase": erase, "restore-table": restore_table, "rebuild": rebuild,
    "backup restore": restore_elsewhere, "backup verify --restore": drill, "reconcile": reconcile,
}  # fmt: skip
WITHOUT_KAFKA: Mapping[str, Verb] = {
    name: verb for name, verb in {**RUNNING, **STOPPED}.items() if verb not in (reconcile, restore_table, drill, rebuild)
} | {"rebuild silver": rebuild_silver}  # fmt: skip
"""Name → verb, of those that are typed beside a running job, of those that need it stopped or may be typed then, and of those that
ask no broker."""
