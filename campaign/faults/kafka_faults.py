"""Faults of Kafka and of the way to it."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.faults import network
from campaign.faults.network import Proxy
from campaign.faults.scene import Damage, Scene, Strike, newest_entry


def broker_killed(scene: Scene, job: str) -> Strike:
    """SIGKILL of the broker while a batch runs, and its new start; the job goes on by itself or says what to do."""
    running = scene.at_work(job)
    was_alive = running.alive
    scene.broker.kill()
    scene.broker.start()
    return Strike("broker killed", job, was_alive, "", running.wait())


def _through_a_proxy(scene: Scene, job: str, fault: str, trouble: Callable[[Proxy], int], proof: str) -> Strike:
    """``trouble`` is made when a batch has begun, and returns its count; the job ends after it was healed."""
    shim = scene.shim
    if shim is None:
        return Strike(fault, job, False, "no C compiler", scene.start(job).wait())
    with network.proxy(scene.broker.port) as proxy:
        shim.redirect(scene.broker.port, proxy.port)
        try:
            running = scene.at_work(job, **shim.environment)
            count = trouble(proxy) if running.alive else 0
            proxy.heal()
            code = running.wait()
        finally:
            redirected = shim["redirected"]
            shim.clear()
    return Strike(fault, job, count > 0 and redirected > 0, f"{count} {proof}, {redirected} connections", code)


def _held(seconds: float, **which: bool) -> Callable[[Proxy], int]:
    def trouble(proxy: Proxy) -> int:
        proxy.hold(**which)
        time.sleep(seconds)
        return proxy.held

    return trouble


def partition(scene: Scene, job: str) -> Strike:
    """Nothing passes, either way, for longer than a request waits."""
    return _through_a_proxy(scene, job, "network partition", _held(13, requests=True, answers=True), "bytes held back")


def one_way_partition(scene: Scene, job: str) -> Strike:
    """The broker hears the job, and the job does not hear the broker."""
    return _through_a_proxy(scene, job, "one-way partition", _held(13, requests=False, answers=True), "bytes held back")


def slow_network(scene: Scene, job: str) -> Strike:
    """For a quarter of a minute each piece of an answer comes two seconds late."""

    def trouble(proxy: Proxy) -> int:
        proxy.slow(2)
        time.sleep(15)
        return proxy.held

    return _through_a_proxy(scene, job, "2 s of latency", trouble, "bytes late")


def half_open(scene: Scene, job: str) -> Strike:
    """The broker's ends of all connections are gone, and nobody has told the job."""

    def trouble(proxy: Proxy) -> int:
        proxy.leave_half_open()
        return proxy.cut

    return _through_a_proxy(scene, job, "half-open connections", trouble, "connections cut")


@contextlib.contextmanager
def _admin(scene: Scene) -> Any:
    from kafka import KafkaAdminClient

    client = KafkaAdminClient(bootstrap_servers=scene.broker.servers)
    try:
        yield client
    finally:
        client.close()


def partitions_added(scene: Scene, _job: str) -> Damage:
    """Two more, which the next messages use."""
    wanted = scene.known.partitions + 2
    with _admin(scene) as admin:
        admin.create_partitions({scene.place.topic: wanted})
    scene.known.partitions = wanted
    return Damage(True, f"{wanted} partitions")


def _ends(scene: Scene) -> dict[int, int]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=scene.broker.servers)
    try:
        places = [TopicPartition(scene.place.topic, number) for number in range(scene.known.partitions)]
        return {place.partition: int(end) for place, end in consumer.end_offsets(places).items()}
    finally:
        consumer.close()


def _read_up_to(scene: Scene, partition: int) -> int:
    """The offset from which Bronze has still to read a partition; 0 before its first batch."""
    done = newest_entry(scene.folder("bronze", "commits"))
    if done < 0:
        return 0
    last = (scene.folder("bronze", "offsets") / str(done)).read_text(encoding="utf-8").splitlines()[-1]
    return int(json.loads(last).get(scene.place.topic, {}).get(str(partition), 0))


def retention_passes_the_job(scene: Scene, _job: str) -> Damage:
    """Kafka drops what a stopped job has not read of one partition, but for its last three offsets."""
    from kafka import TopicPartition

    number = scene.chance.randrange(scene.known.partitions)
    first = _ends(scene)[number] - 3
    if first <= _read_up_to(scene, number):
        return Damage(False, "all of it was read")
    with _admin(scene) as admin:
        admin.delete_records({TopicPartition(scene.place.topic, number): first})
    scene.known.lost[number] = first
    return Damage(True, f"partition {number} begins at {first}", needs_person=True)


def topic_recreated(scene: Scene, _job: str) -> Damage:
    """The topic is deleted and made anew, and is empty."""
    with _admin(scene) as admin:
        admin.delete_topics([scene.place.topic])
    for _ in range(100):
        with contextlib.suppress(Exception):  # it is still being deleted
            scene.broker.create(scene.place.topic, scene.known.partitions)
            return Damage(True, "", needs_person=True)
        time.sleep(0.1)
    return Damage(False, "could not be made anew", needs_person=True)


def copy_of_the_broker(scene: Scene, folder: Path) -> None:
    """The broker's disk as it is now, taken while it stands still."""
    scene.broker.kill()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scene.broker.folder, folder)
    scene.broker.start()


def end_lost(scene: Scene, folder: Path) -> Damage:
    """The broker's disk becomes that of an earlier moment: the topic ends before what was read, as after an election of a
    leader that lacked messages."""
    before = _ends(scene)
    scene.broker.kill()
    shutil.rmtree(scene.broker.folder)
    shutil.copytree(folder, scene.broker.folder)
    scene.broker.start()
    now = _ends(scene)
    lost = sum(before.values()) - sum(now.values())
    return Damage(lost > 0, f"{lost} messages", needs_person=True)
