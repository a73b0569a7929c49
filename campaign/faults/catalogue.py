"""The faults of a history, by name: those of a run, and those between two runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from campaign.faults import file_faults, kafka_faults, process_faults, shim_faults
from campaign.faults.scene import Damage, Scene, Strike

Run = Callable[[Scene, str], Strike]
Between = Callable[[Scene, str], Damage]


@dataclass(frozen=True)
class OfRun:
    """A fault that strikes in a run. ``needs_person``: the job may ask for one, in this run and in those after it."""

    strike: Run
    needs_person: bool = False
    weight: int = 2


_COMMON: Mapping[str, OfRun] = {
    "none": OfRun(process_faults.nothing),
    "crash point": OfRun(process_faults.crash_point, weight=6),
    "disk full": OfRun(shim_faults.disk_full, weight=3),
    "disk broken": OfRun(shim_faults.disk_broken, weight=3),
}
SILVER: Mapping[str, OfRun] = _COMMON
BRONZE: Mapping[str, OfRun] = {
    **_COMMON,
    "SIGKILL": OfRun(process_faults.killed, weight=3),
    "SIGTERM twice": OfRun(process_faults.terminated_twice),
    "zombie": OfRun(process_faults.zombie),
    "Python worker killed": OfRun(process_faults.worker_killed),
    "no file descriptors": OfRun(process_faults.descriptors_exhausted),
    "broker killed": OfRun(kafka_faults.broker_killed),
    "network partition": OfRun(kafka_faults.partition),
    "one-way partition": OfRun(kafka_faults.one_way_partition),
    "2 s of latency": OfRun(kafka_faults.slow_network),
    "half-open connections": OfRun(kafka_faults.half_open),
    "clock back 1 s": OfRun(shim_faults.clock_back_a_second, needs_person=True),
    "clock back 1 h": OfRun(shim_faults.clock_back_an_hour, needs_person=True),
}
"""Name → what strikes while Bronze runs; ``silver`` has fewer, since a pass of it is over in a second."""

RARE: Mapping[str, OfRun] = {
    "zombie for 130 s": OfRun(process_faults.long_zombie),
    "clock ahead a day": OfRun(shim_faults.clock_ahead_a_day, needs_person=True),
}
"""Those that are asked for by name: they take minutes, or end a history."""

BETWEEN: Mapping[str, Mapping[str, Between]] = {
    "bronze": {
        "last commit entry gone": file_faults.last_commit_entry_gone,
        "half an offset file": file_faults.half_an_offset_file,
        "state gone": file_faults.state_gone,
        "state file gone": file_faults.state_file_gone,
        "metadata gone": file_faults.metadata_gone,
        "log's helpers gone": file_faults.helpers_gone,
        "stale _last_checkpoint": file_faults.stale_pointer,
        "wrong checksum": file_faults.wrong_checksum,
        "half a commit file": file_faults.half_a_commit_file,
        "flipped bit": file_faults.flipped_bit,
        "foreign writer": file_faults.foreign_writer,
        "partitions added": kafka_faults.partitions_added,
        "retention past the job": kafka_faults.retention_passes_the_job,
    },
    "silver": {
        "last commit entry gone": file_faults.last_commit_entry_gone,
        "half an offset file": file_faults.half_an_offset_file,
        "log's helpers gone": file_faults.helpers_gone,
        "stale _last_checkpoint": file_faults.stale_pointer,
        "half a commit file": file_faults.half_a_commit_file,
    },
}
"""Job → name → what is done to the disk or to Kafka before the job's next run."""
