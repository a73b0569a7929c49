"""Runs with any settings changed between them: each message ends once, as in a run that had the settings from the start.

A model of the rules in docs/PROOFS.md, with Spark's operator as Spark documents it and forgetting as soon as it may. What settings
hold for which batch is the project's own code over a checkpoint in memory. ``tests/spark/bronze/test_settings_change.py`` shows some
such runs with real Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.bronze import noted_settings, transforms
from lakehouse.bronze.batch_settings import BatchSettings, compared_until, following
from lakehouse.bronze.noted_settings import NotedSettings, SettingsChange
from lakehouse.contract.business_time import local_day
from lakehouse.contract.table_properties import UNKNOWN_ZONE, with_zone
from lakehouse.contract.tables import VENTES, TableSpec
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake.checkpoint import Planned

SECOND = 1_000_000
START_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Message:
    """``ahead``: the event time, in seconds after ``START_MS``. ``broker``: the broker's time, likewise."""

    name: str
    ahead: int
    broker: int

    @property
    def event(self) -> int:
        return START_MS * 1000 + self.ahead * SECOND

    def accepted(self, judged: BatchSettings) -> bool:
        tolerance = judged.future_tolerance // timedelta(microseconds=1)
        return self.event <= START_MS * 1000 + self.broker * SECOND + tolerance


class Memory:
    """A checkpoint's files."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.offsets: dict[int, int] = {}
        self.commits: list[int] = []

    def planned_ids(self) -> list[int]:
        return sorted(self.offsets)

    def committed_ids(self) -> list[int]:
        return self.commits

    def planned(self, number: int) -> Planned | None:
        return Planned(number, self.offsets[number], ()) if number in self.offsets else None

    def ids(self, folder: str) -> list[int]:
        return sorted(int(name.partition("/")[2]) for name in self.files if name.startswith(f"{folder}/"))

    def text(self, name: str) -> str | None:
        return self.files.get(name)

    def write(self, name: str, text: str) -> None:
        self.files[name] = text

    def refusal(self, fault: str) -> CheckpointInvalid:
        return CheckpointInvalid(fault)


@dataclass
class Bronze:
    """The lake, its checkpoint and Spark's state."""

    place: Memory = field(default_factory=Memory)
    sales: list[tuple[str, int, Any]] = field(default_factory=list)
    rejects: list[Message] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=lambda: {VENTES.name: -1, "rejects": -1})
    state: dict[str, int] = field(default_factory=dict)
    watermark: int = 0
    dropped: list[str] = field(default_factory=list)
    zones: str | None = None
    until: datetime | None = None

    def has(self, spec: TableSpec, number: int) -> bool:
        return self.written[VENTES.name if spec is VENTES else "rejects"] >= number

    def prepare(self, before: BatchSettings | None, now: BatchSettings, last_clock_ms: int | None) -> None:
        self.zones = with_zone(self.zones, now.timezone, empty=not self.sales)
        self.until = compared_until(self.until, before, now, last_clock_ms)

    def run(self, wanted: BatchSettings, batches: Sequence[tuple[int, Sequence[Message]]], crash: str | None) -> None:
        """Each batch with its clock; ``crash``: where the run breaks off in its last batch."""
        noted = NotedSettings(self.place, wanted, self.has, self.prepare)  # type: ignore[arg-type]
        noted.before_query()
        for clock, messages in batches:
            number = self.place.commits[-1] + 1 if self.place.commits else 0
            self.place.offsets.setdefault(number, clock)
            while True:
                try:
                    noted.check(number)
                    break
                except SettingsChange:
                    noted.before_query()
            last = (clock, messages) == batches[-1]
            self.batch(number, noted.current, messages, crash if last else None)

    def batch(self, number: int, judged: BatchSettings, messages: Sequence[Message], crash: str | None) -> None:
        clock, delay = self.place.offsets[number] * 1000, judged.watermark_delay // timedelta(microseconds=1)
        oldest = judged.oldest_on_time(self.place.offsets[number])
        good = [one for one in messages if one.accepted(judged)]
        on_time = [one for one in good if one.event >= oldest]
        state = {name: expiry for name, expiry in self.state.items() if expiry > self.watermark}
        passed, clamped = [], [min(max(one.event, oldest), clock) for one in on_time]
        for one, at in zip(on_time, clamped, strict=True):
            if at <= self.watermark:
                self.dropped.append(one.name)
            elif one.name not in state:
                state[one.name] = at + delay
                passed.append(one)
        every = self.until is not None and clock < self.until.timestamp() * SECOND
        far = [one for one in passed if one.event > clock + delay]
        compared = [one for one in good if one.event < oldest] + (passed if every else far)
        fresh = [one for one in passed if one not in compared]
        if far:
            latest = datetime.fromtimestamp(max(one.event for one in far) / 1e6, UTC)
            until = latest + judged.watermark_delay + timedelta(minutes=1)
            self.until = max(self.until or until, until)
        if not self.has(VENTES, number):
            self.append([*fresh, *self.new(compared, judged)], judged)
            self.written[VENTES.name] = number
        if crash == "between":
            return
        self.rejects += [one for one in messages if not one.accepted(judged)]
        if crash == "before the commit":
            self.rejects = self.rejects[: len(self.rejects) - len(messages) + len(good)]
            return
        self.written["rejects"] = number
        self.state = state
        self.watermark = max([self.watermark, *(at - delay for at in clamped)])
        self.place.commits.append(number)

    def new(self, compared: Sequence[Message], judged: BatchSettings) -> list[Message]:
        """Those that exact deduplication does not find in the days and the span that it reads."""
        zone = ZoneInfo(judged.timezone)
        days = {local_day(datetime.fromtimestamp(one.ahead + START_MS // 1000, UTC), zone) for one in compared}
        zones = (self.zones or UNKNOWN_ZONE).split(",")
        if len(zones) > 1 or UNKNOWN_ZONE in zones:
            days = set(transforms.around(sorted(days)))
        known = {name for name, _, day in self.sales if day in days}
        return list({one.name: one for one in compared if one.name not in known}.values())

    def append(self, messages: Sequence[Message], judged: BatchSettings) -> None:
        zone = ZoneInfo(judged.timezone)
        for one in messages:
            day = local_day(datetime.fromtimestamp(one.ahead + START_MS // 1000, UTC), zone)
            self.sales.append((one.name, one.event, day))


MINUTES = (1, 2, 10, 30, 600)
choices = st.builds(
    lambda delay, tolerance, zone: BatchSettings(
        timedelta(minutes=delay), timedelta(minutes=min(delay, tolerance)), zone, "decoder"
    ),
    st.sampled_from(MINUTES), st.sampled_from((0, 1, 5, 30)),
    st.sampled_from(("UTC", "Europe/Paris", "Pacific/Kiritimati", "Pacific/Pago_Pago")),
)  # fmt: skip


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[BatchSettings, list[tuple[int, list[Message]]], str | None]]:
    """Up to six runs. Sales of any age, and ahead of the clock by more than any tolerance; copies of them in any batch."""
    sold = [(f"v{number}", draw(st.integers(-3000, 6000))) for number in range(draw(st.integers(1, 6)))]
    skew = draw(st.sampled_from((0, 0, 700, 2400)))  # seconds by which the broker's clock runs ahead of ours
    clock, story = 0, []
    for _ in range(draw(st.integers(1, 6))):
        batches = []
        for _ in range(draw(st.integers(1, 3))):
            clock += draw(st.sampled_from((1, 20, 61, 300, 601, 1900)))
            names = draw(st.lists(st.sampled_from(sold), max_size=5))
            batches.append((START_MS + clock * 1000, [Message(*each, clock + skew) for each in names]))
        story.append((draw(choices), batches, draw(st.sampled_from((None, None, "between", "before the commit")))))
    return story


def played(story: Sequence[tuple[BatchSettings, list[tuple[int, list[Message]]], str | None]]) -> Bronze:
    """A run that broke off is taken up by the next one, whose first batch is then the one that broke off."""
    lake, left = Bronze(), list[tuple[int, list[Message]]]()
    for number, (wanted, batches, crash) in enumerate(story):
        last = number == len(story) - 1
        lake.run(wanted, [*left, *batches], None if last else crash)
        left = [] if last or not crash else batches[-1:]
    return lake


def assert_each_message_ends_once(lake: Bronze, story: Sequence[tuple[BatchSettings, Any, Any]]) -> None:
    messages = [one for _, batches, _ in story for _, batch in batches for one in batch]
    names = [name for name, _, _ in lake.sales]
    assert lake.dropped == [] and len(names) == len(set(names))
    held = set(names)
    for one in messages:
        assert one.name in held or one in lake.rejects, one
    assert all(lake.rejects.count(one) <= messages.count(one) for one in lake.rejects)


@settings(max_examples=1500, deadline=None)
@given(story=stories())
def test_any_settings_in_any_order_lose_and_double_nothing(story: Any) -> None:
    assert_each_message_ends_once(played(story), story)


@settings(max_examples=500, deadline=None)
@given(story=stories())
def test_the_sales_are_those_of_a_run_that_had_the_settings_from_the_start(story: Any) -> None:
    """With one tolerance, which decides what is a sale; delays, zones and crashes are drawn as they come."""
    tolerance = min(wanted.future_tolerance for wanted, _, _ in story)
    story = [(replace(wanted, future_tolerance=tolerance), batches, crash) for wanted, batches, crash in story]
    changing = {name for name, _, _ in played(story).sales}
    for wanted, _, _ in story:
        constant = {name for name, _, _ in played([(wanted, batches, crash) for _, batches, crash in story]).sales}
        assert changing == constant


def test_the_model_sees_a_rule_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two failures of a longer delay without a floor: a sale below the watermark, and one that the state never knew."""
    short, long = (BatchSettings(timedelta(minutes=each), timedelta(0), "UTC", "decoder") for each in (1, 600))
    below = [
        (short, [(START_MS, [Message("now", 0, 0)])], None),
        (long, [(START_MS + 1000, [Message("between", -300, 1)])], None),
    ]
    unknown = [
        (short, [(START_MS, [Message("stale", -300, 0)])], None),
        (long, [(START_MS + 1000, [Message("stale", -300, 1)])], None),
    ]
    for story in (below, unknown):
        assert_each_message_ends_once(played(story), story)
    monkeypatch.setattr(noted_settings, "following", lambda _before, wanted, _clock: wanted)
    assert played(below).dropped == ["between"]
    assert [name for name, _, _ in played(unknown).sales] == ["stale", "stale"]


def test_the_floor_never_falls_and_never_passes_the_clock() -> None:
    first = BatchSettings(timedelta(minutes=10), timedelta(0), "UTC")
    longer, shorter = (replace(first, watermark_delay=timedelta(minutes=each)) for each in (60, 1))
    clock = START_MS
    assert following(None, first, None).floor_us is None, "a new checkpoint"
    assert following(first, first, clock) == first
    floor = following(first, longer, clock).floor_us
    assert floor == first.oldest_on_time(clock) + 1000
    assert following(None, longer, clock).floor_us == clock * 1000, "an earlier release has noted no delay"
    again = following(following(first, longer, clock), shorter, clock + 5)
    assert again.oldest_on_time(clock + 6) == (clock + 6) * 1000 - 60 * SECOND
    assert following(following(first, longer, clock), first, clock + 5).floor_us == floor + 1000


def test_notes_are_read_as_they_were_written() -> None:
    noted = BatchSettings(timedelta(seconds=1.5), timedelta(0), "Europe/Paris", "abc", 17)
    assert BatchSettings.from_json(noted.to_json()) == noted


def test_a_damaged_note_is_refused() -> None:
    place = Memory()
    place.files["settings/0"] = '{"watermark_delay_us": 1'
    place.offsets, place.commits = {0: START_MS}, [0]
    noted = NotedSettings(place, BatchSettings(timedelta(1), timedelta(0), "UTC"), lambda *_: False, lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(CheckpointInvalid, match="settings/0 is damaged"):
        noted.before_query()
