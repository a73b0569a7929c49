"""Sends the generated sales to Kafka: rate-limited, idempotent, ``acks=all``, each message tracked to its outcome.

Guarantee: an acknowledged message is in Kafka once, in the order in which its client's messages were sent; a message
that was never acknowledged is listed, and the run then ends with ``UndeliveredMessages``.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from kafka.errors import KafkaError, KafkaTimeoutError

from lakehouse.config import Config, Rate, format_duration
from lakehouse.errors import BrokerUnavailable, ConfigError, UndeliveredMessages
from lakehouse.kafka import clients
from lakehouse.kafka.connection import START_COMMAND
from lakehouse.kafka.key_partitioner import KeyPartitioner
from lakehouse.kafka.options import servers
from lakehouse.observability import audit_log, log, metrics
from lakehouse.observability.health import Monitor
from lakehouse.producer import generator, history
from lakehouse.producer.catalogue import POOL_SEED
from lakehouse.producer.delivery_tracker import DeliveryTracker, TruthFile
from lakehouse.producer.generator import KINDS, Message, Mix
from lakehouse.producer.operations import OPERATIONS
from lakehouse.producer.pacing import SendSchedule, Stop, event_clock
from lakehouse.wording import counted

_log = log.get("producer")

_TICK = 0.5  # seconds between two checks of the tracker, the truth file and the progress line
_SETTLE = 0.05  # seconds between two looks whether all was acknowledged
_LONGEST_PAUSE = 5.0  # seconds between two attempts to reach a broker that does not answer yet
_COUNT_EVERY = 30.0  # seconds between two lines about a broker that does not answer, after the first
_BACKFILL = timedelta(
    days=365_000
)  # a backfill's clock is behind the broker's: its future sales must be in the broker's future too


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of one run besides the settings. ``count`` None: until a signal."""

    count: int | None = None
    seed: int | None = None
    truth: Path | None = None
    start: datetime | None = None
    history: bool = False
    """Whether an empty topic begins with ``[PRODUCER] history``; it is not among ``count``."""


def with_options(config: Config, **given: Any) -> Config:
    """The settings with the command line's values over those of ``[PRODUCER]``; None leaves one as it is.

    Raises ``ConfigError`` when the ratios exceed 1 together.
    """
    made = dataclasses.replace(config.producer, **{name: value for name, value in given.items() if value is not None})
    total = sum(made.ratios.values())
    if total > 1:
        raise ConfigError(
            f"{' + '.join(f'--{name}-ratio' for name in made.ratios)} = {total:g} is not accepted: expected at most 1."
        )
    return dataclasses.replace(config, producer=made)


def stream(config: Config, order: RunOptions, seed: int) -> Iterator[Message]:
    """The messages of a run, without end."""
    made, streaming = config.producer, config.streaming
    return generator.messages(
        seed=seed,
        clients=made.clients,
        clock=event_clock(order.start, made.rate),
        mix=Mix(*made.ratios.values()),
        pool_seed=POOL_SEED if order.seed is None else order.seed,
        late_after=streaming.watermark_delay + timedelta(minutes=1),
        future_by=_BACKFILL if order.start else streaming.future_tolerance + timedelta(days=1),
    )


def past(config: Config, order: RunOptions, seed: int, now: datetime) -> tuple[datetime, int, Iterator[Message]]:
    """The history before ``now``: when it begins, how many messages it has, and the messages. None of its sales is one of
    ``stream``'s; the clients are the same."""
    made, since = config.producer, now - config.producer.history
    count = history.how_many(made.history, made.rate)
    rhythm = history.moments(since, now, count, config.analytics.timezone, Random(f"history:{seed}"))
    pool_seed = POOL_SEED if order.seed is None else order.seed
    sales = generator.messages(seed=-seed - 1, clients=made.clients, clock=lambda: next(rhythm), pool_seed=pool_seed)
    return since, count, (message._replace(kind="historique") for message in sales)


def connect(config: Config, stop: Stop, *, give_up_after: timedelta | None) -> Any:
    """A connected ``KafkaProducer``; None when told to stop before. Raises ``BrokerUnavailable`` after ``give_up_after``."""
    began = time.monotonic()
    deadline = math.inf if give_up_after is None else began + give_up_after.total_seconds()
    pause, attempts, told = 0.5, 0, began
    while not stop.times:
        try:
            clients.ensure_topic(config)
            clients.check_right(config, "WRITE")
            return clients.connect_producer(config, partitioner=KeyPartitioner())
        except BrokerUnavailable:
            if time.monotonic() + pause > deadline:
                raise
            attempts, now, where = attempts + 1, time.monotonic(), ", ".join(servers(config))
            if attempts == 1:
                _log.warning(f"Kafka does not answer at {where}; retrying until it does", start_one=START_COMMAND)
            elif now - told >= _COUNT_EVERY:
                told = now
                _log.warning("Kafka still does not answer", attempts=attempts, seconds=round(now - began))
        stop.wait(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return None


class Run:
    """One run: sends messages until the count is reached or a stop, then waits for the acknowledgements."""

    def __init__(self, config: Config, producer: Any, tracker: DeliveryTracker, stop: Stop, monitor: Monitor) -> None:
        self._monitor = monitor
        self._config = config
        self._producer = producer
        self._tracker = tracker
        self._stop = stop
        self._next_tick = 0.0
        self._next_progress = time.monotonic() + config.monitoring.progress_interval.total_seconds()

    def send(
        self, messages: Iterator[Message], count: int | None, *, first: int = 0, rate: float | None = None
    ) -> None:
        """Send at ``rate`` (default: the settings'); returns when all were handed over or when told to stop. ``first`` is the
        number of the first message in the truth file."""
        schedule = SendSchedule(self._config.producer.rate if rate is None else rate)
        for n in itertools.count(first) if count is None else range(first, first + count):
            while (pause := schedule.pause(n - first)) and not self._stop.wait(min(pause, _TICK)):
                self._tick()
            if self._stop.times:
                return
            message = next(messages)  # after the pause: the event happens now
            while not self._tracker.has_room(message, _TICK):
                self._tick()
                if self._stop.times:
                    return
            self._hand_over(n, message)
            self._tick()

    def _hand_over(self, n: int, message: Message) -> None:
        tracker, deadline = self._tracker, time.monotonic() + self._config.producer.delivery_timeout.total_seconds()
        tracker.intended(n, message)
        while True:
            try:
                future = self._producer.send(self._config.kafka.topic, message.value, message.key)
            except KafkaTimeoutError as error:  # the topic's metadata is not known: nothing was handed over, try again
                if self._stop.times or time.monotonic() >= deadline:
                    tracker.failed(n, error)
                    return
                self._tick()
            except (KafkaError, ValueError) as error:
                tracker.failed(n, error)
                return
            else:
                future.add_callback(tracker.acknowledged, n)
                future.add_errback(tracker.failed, n)
                return

    def _tick(self) -> None:
        now = time.monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + _TICK
        self._monitor.beat()
        tracker = self._tracker
        tracker.watch()
        tracker.check()
        if now >= self._next_progress:
            self._next_progress = now + self._config.monitoring.progress_interval.total_seconds()
            _log.info(
                "progress",
                sent=tracker.sent,
                acknowledged=tracker.acked,
                failed=tracker.lost,
                in_flight=tracker.in_flight,
            )

    def settle(self) -> datetime | None:
        """Wait until nothing is in flight or somebody asks to stop: when the broker received the last message, None when it has
        not said so."""
        while self._tracker.in_flight and not self._stop.wait(_SETTLE):
            self._tick()
        last = self._tracker.last_received
        return datetime.fromtimestamp(last / 1000, UTC) if last >= 0 else None

    def finish(self) -> None:
        """Wait for the acknowledgements: ``delivery_timeout``, after a signal ``request_timeout``; then count the rest
        as failed, and close. A second signal ends the wait."""
        patience = self._config.kafka.request_timeout if self._stop.times else self._config.producer.delivery_timeout
        begun, signals = time.monotonic(), self._stop.times
        limit = patience.total_seconds() + 2 * _TICK  # kafka-python itself gives up at delivery_timeout
        while self._tracker.in_flight and time.monotonic() - begun < limit:
            self._monitor.beat()
            try:
                self._producer.flush(timeout=_TICK)
            except KafkaError:  # KafkaTimeoutError: some still wait
                self._tracker.watch()
            if self._stop.times > signals:
                if signals or self._stop.times > signals + 1:
                    break
                limit = min(limit, time.monotonic() - begun + self._config.kafka.request_timeout.total_seconds())
        if self._tracker.in_flight:
            self._tracker.abandon(f"no answer within {time.monotonic() - begun:.1f} s of the end")
            # close() would first flush, fail and stay open; nothing public ends the sender at once (kafka-python 3.0.12)
            self._producer._sender.force_close()
            self._producer._sender.join(timeout=_TICK)
        try:
            self._producer.close(timeout=self._config.kafka.request_timeout.total_seconds())
        except KafkaError as error:
            _log.warning("the Kafka client did not close in time", cause=str(error))


def summary(tracker: DeliveryTracker, seconds: float, seed: int) -> str:
    """The run in one line."""
    shown = (kind for kind in KINDS if tracker.kinds[kind] or kind not in (*OPERATIONS, "historique"))
    kinds = ", ".join(f"{kind} {tracker.kinds[kind]:,}" for kind in shown)
    return (
        f"{counted(tracker.sent, 'message')} sent in {seconds:.1f} s ({tracker.sent / max(seconds, 1e-9):.1f}/s): "
        f"{tracker.acked:,} acknowledged, {tracker.lost:,} never acknowledged; {kinds}; seed {seed}"
    )


def _show(config: Config, tracker: DeliveryTracker, monitor: Monitor) -> None:
    """Expose the tracker's counts as metrics and health. They are read at a scrape: sending costs nothing more."""
    meter, limit = monitor.meter, config.monitoring.producer_stale_after

    def refresh() -> None:
        for kind in KINDS:
            meter.set(metrics.SENT, tracker.kinds[kind], kind)
        meter.set(metrics.ACKNOWLEDGED, tracker.acked)
        meter.set(metrics.FAILED, tracker.lost)
        meter.set(metrics.IN_FLIGHT, tracker.in_flight)
        meter.set(metrics.BUFFERED, tracker.waiting_bytes)
        meter.set(metrics.BUFFER_LIMIT, config.producer.buffer_memory)
        meter.set(metrics.LAST_ACK, tracker.last_ack)

    def not_ready() -> Iterator[str]:
        if (silent := tracker.silent_seconds) > limit.total_seconds():
            yield (
                f"no acknowledgement for {silent:.0f} s while on their way: {counted(tracker.in_flight, 'message')}; "
                f"[MONITORING] producer_stale_after is {format_duration(limit)}"
            )

    meter.before_scrape(refresh)
    monitor.ready_when(not_ready)


def produce(config: Config, order: RunOptions, stop: Stop | None = None, monitor: Monitor | None = None) -> int:
    """Run to the end: 0 when every message was acknowledged, else ``UndeliveredMessages``. One line on stdout."""
    stop, monitor = stop or Stop(), monitor or Monitor(config, "producer")
    seed = int.from_bytes(os.urandom(8)) if order.seed is None else order.seed
    truth = TruthFile(order.truth, str(uuid.uuid4())) if order.truth else None
    tracker = DeliveryTracker(
        config.producer.buffer_memory, truth, ack_seconds=monitor.meter.spread(metrics.ACK_SECONDS)
    )
    _show(config, tracker, monitor)
    begun = time.monotonic()
    with stop.on_signals():
        try:
            monitor.phase(f"Kafka has not answered at {', '.join(servers(config))}")
            bound = None if order.count is None else config.producer.delivery_timeout
            producer = connect(config, stop, give_up_after=bound)
            if producer is not None:
                _log.info("sending", topic=config.kafka.topic, rate=str(Rate(config.producer.rate)), seed=seed)
                run = Run(config, producer, tracker, stop, monitor)
                monitor.started()
                try:
                    _end_interrupted_history(config)
                    first = _send_history(config, order, seed, run, stop) if order.history else 0
                    run.send(stream(config, order, seed), order.count, first=first)
                finally:
                    run.finish()
            tracker.check(at_most_every=0)
        finally:
            if truth:
                truth.close()
    print(summary(tracker, time.monotonic() - begun, seed))
    if tracker.lost:
        raise _undelivered(tracker, truth)
    return 0


def _never_used(config: Config, stop: Stop) -> bool:
    """Whether the topic has never held a message; asked again while its partitions, just created, have no leader yet."""
    while not stop.times:
        try:
            return not any(end for _, end in clients.earliest_and_latest_offsets(config, log_end=True).values())
        except BrokerUnavailable:
            stop.wait(_TICK)
    return False


def _send_history(config: Config, order: RunOptions, seed: int, run: Run, stop: Stop) -> int:
    """Send the history to a topic that has never held a message, announced in the audit log before; how many were to be sent.
    Any other topic is left as it is. Its end is put on record too, when all of it was acknowledged."""
    if not config.producer.history or not _never_used(config, stop):
        return 0
    now = datetime.now(UTC)
    since, count, messages = past(config, order, seed, now)
    if not count:
        return 0
    audit_log.announce_backfill(config, config.kafka.topic, since, now, count)
    span = format_duration(config.producer.history)
    _log.info(
        f"the topic is empty; sent first: {counted(count, 'back-dated sale')} of the last {span}", announced="audit log"
    )
    run.send(messages, count, rate=math.inf)
    if (received := run.settle()) is not None and not stop.times:
        audit_log.end_backfill(config, config.kafka.topic, received)
    return count


def _end_interrupted_history(config: Config) -> None:
    """Put the end of a history on record that an earlier run was stopped in: nothing more of it is sent."""
    topic = config.kafka.topic
    if any(one.topic == topic and one.arrived is None for one in audit_log.backfills(config)):
        audit_log.end_backfill(config, topic, datetime.now(UTC))


def _undelivered(tracker: DeliveryTracker, truth: TruthFile | None) -> UndeliveredMessages:
    for lost in tracker.first_lost:
        _log.error("never acknowledged", n=lost.n, vente_id=lost.vente_id, error=lost.error)
    where = (
        f"All are in {truth.path} (etat echec)." if truth else f"The first {len(tracker.first_lost)} are listed above."
    )
    return UndeliveredMessages(
        f"{tracker.lost} of {tracker.sent} messages were never acknowledged; Kafka may hold each once, or not at all. "
        f"{where} See whether Kafka answers: python setup_utils.py check"
    )
