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
from lakehouse.contract.table_properties import UNKNOWN_ZONE, with_zone, zones_of
from lakehouse.contract.tables import VENTES, TableSpec
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake.checkpoint_files import Planned

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

    path, job = "memory", "bronze"

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

    def write_text(self, name: str, text: str) -> None:
        self.files[name] = text


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
        self.zones = with_zone(self.zones, now.timezone, datetime.fromtimestamp(0, UTC), empty=not self.sales)
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

    def rebuild(self, wanted: BatchSettings, clock_ms: int) -> None:
        """A new checkpoint over the tables, as ``exact_dedup.require_for_new_checkpoint`` readies them."""
        self.place, self.state, self.watermark = Memory(), {}, 0
        self.written = {VENTES.name: -1, "rejects": -1}
        newest = clock_ms * 1000 + 2 * (wanted.future_tolerance // timedelta(microseconds=1))
        newest = max([newest, *(event for _, event, _ in self.sales)])
        until = datetime.fromtimestamp(newest / 1e6, UTC) + wanted.watermark_delay + timedelta(minutes=1)
        self.until = max(self.until or until, until)

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
        bad = [one for one in messages if not one.accepted(judged)]
        if crash == "before the commit":
            self.add(bad, number)
            return
        self.add(bad, number)
        self.state = state
        self.watermark = max([self.watermark, *(at - delay for at in clamped)])
        self.place.commits.append(number)

    def new(self, compared: Sequence[Message], judged: BatchSettings) -> list[Message]:
        """Those that exact deduplication does not find in the days and the span that it reads."""
        zone = ZoneInfo(judged.timezone)
        days = {local_day(datetime.fromtimestamp(one.ahead + START_MS // 1000, UTC), zone) for one in compared}
        zones = zones_of(self.zones)
        if len(zones) > 1 or UNKNOWN_ZONE in zones:
            days = set(transforms.around(sorted(days)))
        known = {name for name, _, day in self.sales if day in days}
        return list({one.name: one for one in compared if one.name not in known}.values())

    def add(self, bad: Sequence[Message], number: int) -> None:
        if self.written["rejects"] < number:
            self.rejects += [one for one in bad if self.until is None or one not in self.rejects]
            self.written["rejects"] = number

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
        ends = draw(st.sampled_from((None, None, "between", "before the commit", "checkpoint lost")))
        story.append((draw(choices), batches, ends))
    return story


Story = Sequence[tuple[BatchSettings, list[tuple[int, list[Message]]], str | None]]


def played(story: Story) -> Bronze:
    """A run that broke off is taken up by the next one, whose first batch is then the one that broke off; after a checkpoint that is
    lost, the first batch holds the topic from its start."""
    lake, left, read = Bronze(), list[tuple[int, list[Message]]](), list[Message]()
    for number, (wanted, batches, crash) in enumerate(story):
        last = number == len(story) - 1
        if number and story[number - 1][2] == "checkpoint lost":
            (clock, first), left = batches[0], []
            lake.rebuild(wanted, clock)
            batches = [(clock, [*read, *first]), *batches[1:]]
        read += [one for _, batch in story[number][1] for one in batch]
        lake.run(wanted, [*left, *batches], None if last else crash)
        left = batches[-1:] if crash in ("between", "before the commit") else []
    return lake


def assert_each_message_ends_once(lake: Bronze, story: Story) -> None:
    messages = [one for _, batches, _ in story for _, batch in batches for one in batch]
    names = [name for name, _, _ in lake.sales]
    assert lake.dropped == [] and len(names) == len(set(names))
    held = set(names)
    for one in messages:
        assert one.name in held or one in lake.rejects, one
    assert all(lake.rejects.count(one) <= messages.count(one) for one in lake.rejects)


@settings(max_examples=1000, deadline=None)
@given(story=stories())
def test_any_settings_in_any_order_lose_and_double_nothing(story: Any) -> None:
    assert_each_message_ends_once(played(story), story)


@settings(max_examples=300, deadline=None)
@given(story=stories())
def test_the_sales_are_those_of_a_run_that_had_the_settings_from_the_start(story: Any) -> None:
    """With one tolerance, which decides what is a sale; delays, zones and crashes are drawn as they come."""
    tolerance = min(wanted.future_tolerance for wanted, _, _ in story)
    story = [(replace(wanted, future_tolerance=tolerance), batches, crash) for wanted, batches, crash in story]
    changing = {name for name, _, _ in played(story).sales}
    for wanted, _, _ in story:
        constant = {name for name, _, _ in played([(wanted, batches, crash) for _, batches, crash in story]).sales}
        assert changing == constant


def floor_of(before: BatchSettings | None, wanted: BatchSettings, clock: int | None, *, after: int) -> BatchSettings:
    found = following(before, wanted, clock)
    return found if found.floor_us is None else replace(found, floor_us=found.floor_us - 1000 + after)


def test_the_model_sees_a_rule_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two failures of a longer delay without a floor: a sale below the watermark, and one that the state never knew."""
    short, long = (BatchSettings(timedelta(minutes=each), timedelta(0), "UTC", "decoder") for each in (1, 600))
    below = [
        (short, [(START_MS, [Message("now", 0, 0)])], None),
        (long, [(START_MS + 1000, [Message("between", -300, 1)])], None),
    ]
    on_it = [
        (short, [(START_MS, [Message("now", 0, 0)])], None),
        (long, [(START_MS + 1000, [Message("at", -60, 1)])], None),
    ]
    unknown = [
        (short, [(START_MS, [Message("stale", -300, 0)])], None),
        (long, [(START_MS + 1000, [Message("stale", -300, 1)])], None),
    ]
    for story in (below, on_it, unknown):
        assert_each_message_ends_once(played(story), story)
    monkeypatch.setattr(noted_settings, "following", lambda _before, wanted, _clock: wanted)
    assert played(below).dropped == ["between"] and played(on_it).dropped == ["at"]
    assert [name for name, _, _ in played(unknown).sales] == ["stale", "stale"]
    monkeypatch.setattr(noted_settings, "following", lambda *given: floor_of(*given, after=0))
    assert played(on_it).dropped == ["at"], "Spark drops what lies on the watermark as well"


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


def test_every_sale_is_compared_for_longer_after_a_longer_delay() -> None:
    """The state of a new checkpoint does not know a sale that the old one took from the future."""
    short, long = (BatchSettings(timedelta(minutes=each), timedelta(0), "UTC", "decoder") for each in (1, 600))
    ahead = Message("ahead", 900, 900)
    story = [
        (short, [(START_MS, [ahead])], "checkpoint lost"),
        (short, [(START_MS + 100_000, [])], None),
        (long, [(START_MS + 200_000, [])], None),
        (long, [(START_MS + 1_100_000, [replace(ahead, broker=1100)])], None),
    ]
    lake = played(story)
    assert_each_message_ends_once(lake, story)
    before = datetime.fromtimestamp((START_MS + 960_000) / 1000, UTC)
    for last, expected in (
        (START_MS, timedelta(minutes=599)),
        (START_MS + 960_000, timedelta(0)),
        (None, timedelta(0)),
    ):
        assert compared_until(before, short, long, last) == before + expected
    assert compared_until(before, long, short, START_MS) == before and compared_until(None, short, long, 0) is None
    assert compared_until(before, None, short, START_MS) == before + timedelta(minutes=1)


def test_the_query_takes_other_settings_after_the_repeated_batch() -> None:
    place, wanted = Memory(), BatchSettings(timedelta(minutes=1), timedelta(0), "UTC", "decoder")
    first = NotedSettings(place, wanted, lambda *_: False, lambda *_: None)  # type: ignore[arg-type]
    assert first.before_query() == wanted
    place.offsets[0] = START_MS
    other = replace(wanted, future_tolerance=timedelta(seconds=30))
    noted = NotedSettings(place, other, lambda *_: False, lambda *_: None)  # type: ignore[arg-type]
    assert noted.before_query() == wanted
    noted.check(0)
    place.commits.append(0)
    place.offsets[1] = START_MS + 1
    with pytest.raises(SettingsChange):
        noted.check(1)
    assert noted.before_query().same_rules(other)
    noted.check(1)
    assert place.ids("settings") == [0, 1]


def test_days_of_any_two_zones_are_within_those_that_are_read() -> None:
    """The zones furthest apart, today and in the times of local mean time."""
    furthest = [ZoneInfo(name) for name in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Manila", "America/Juneau")]
    for hour in range(24 * 40):
        for year in (1800, 2026):
            moment = datetime(year, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
            days = {local_day(moment, zone) for zone in furthest}
            assert all(days <= set(transforms.around([day])) for day in days)
    early = local_day(datetime(2026, 3, 1, 10, 30, tzinfo=UTC), furthest[0])
    assert (early - local_day(datetime(2026, 3, 1, 10, 30, tzinfo=UTC), furthest[1])).days == 2
    last = datetime.max.date()
    assert transforms.around([last])[-1] == last
