"""The delivery tracker through kafka-python's own futures, and the truth file."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaTimeoutError
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata
from kafka.structs import TopicPartition

from lakehouse.errors import LakehouseError
from lakehouse.producer import delivery_tracker
from lakehouse.producer.delivery_tracker import RECORD_OVERHEAD, DeliveryTracker, TruthFile
from lakehouse.producer.generator import Message, Mix
from tests.support.fake_producer import lines, sales

# --- the tracker, through kafka-python's own futures ---


def sent(tracker: DeliveryTracker, message: Message, n: int = 0) -> FutureProduceResult:
    tracker.intended(n, message)
    result = FutureProduceResult(TopicPartition("ventes_stream", 3))
    future = FutureRecordMetadata(result, 2, 0, None, 1, 1, -1)
    future.add_callback(tracker.acknowledged, n)
    future.add_errback(tracker.failed, n)
    return result


def test_an_acknowledgement_reaches_the_account_and_the_truth_file(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "run-1")
    tracker = DeliveryTracker(10**6, truth)
    (message,) = sales(1)
    result = sent(tracker, message, 7)
    assert (tracker.sent, tracker.in_flight) == (1, 1)
    result.success((40, 1_700_000_000_123, None))
    assert (tracker.acked, tracker.lost, tracker.in_flight) == (1, 0, 0)
    assert lines(truth.path) == [
        {"run": "run-1", "etat": "prevu", "n": 7, "kind": "vente", "motif": None, **message.champs()},
        {
            "run": "run-1",
            "etat": "acquitte",
            "n": 7,
            "partition": 3,
            "offset": 42,
            "kafka_timestamp": 1_700_000_000_123,
        },
    ]


def test_a_failure_reaches_the_account_and_the_truth_file(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "run-1")
    tracker = DeliveryTracker(10**6, truth)
    (message,) = sales(1)
    error = KafkaTimeoutError("Expiring 1 record(s)")
    sent(tracker, message).success((-1, -1, lambda _index: error))
    assert (tracker.acked, tracker.lost, tracker.in_flight) == (0, 1, 0)
    text = "KafkaTimeoutError: Expiring 1 record(s)"
    assert tracker.first_lost == [delivery_tracker.UndeliveredMessage(0, message.vente_id, text)]
    assert lines(truth.path)[1] == {
        "run": "run-1", "etat": "echec", "n": 0, "vente_id": message.vente_id, "erreur": text,
    }  # fmt: skip


def test_a_broken_message_s_bytes_are_in_the_truth_file(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "r")
    (message,) = sales(1, Mix(malformed=1))
    DeliveryTracker(10**6, truth).intended(0, message)
    (line,) = lines(truth.path)
    assert (line["kind"], line["motif"]) == ("malformee", "json_invalide")
    assert base64.b64decode(line["valeur_base64"]) == message.value


def test_a_message_is_settled_once_whatever_comes_later(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "r")
    tracker = DeliveryTracker(10**6, truth)
    result = sent(tracker, sales(1)[0])
    tracker.abandon("no answer")
    result.success((0, 0, None))
    assert (tracker.acked, tracker.lost) == (0, 1)
    assert [line["etat"] for line in lines(truth.path)] == ["prevu", "echec"]


@given(answers=st.lists(st.booleans(), max_size=60))
def test_every_message_is_acknowledged_or_lost(answers: list[bool]) -> None:
    tracker = DeliveryTracker(10**9)
    for n, (message, good) in enumerate(zip(sales(len(answers)), answers, strict=True)):
        sent(tracker, message, n).success((n, 0, None if good else lambda _index: KafkaTimeoutError("late")))
    assert (tracker.sent, tracker.acked, tracker.lost) == (len(answers), sum(answers), len(answers) - sum(answers))
    assert tracker.in_flight == 0
    assert len(tracker.first_lost) == min(tracker.lost, 20)


def test_a_full_buffer_has_no_room_until_an_answer_comes() -> None:
    first, second, _ = sales(3)
    tracker = DeliveryTracker(len(first.key) + len(first.value) + RECORD_OVERHEAD)
    assert tracker.has_room(first, 0)
    result = sent(tracker, first)
    assert not tracker.has_room(second, 0)
    result.success((0, 0, None))
    assert tracker.has_room(second, 0)


def test_a_waiting_sender_goes_on_when_an_eighth_of_the_buffer_is_free() -> None:
    made = sales(17)
    tracker = DeliveryTracker(16 * (max(len(one.key) + len(one.value) for one in made) + RECORD_OVERHEAD))
    results = [sent(tracker, message, n) for n, message in enumerate(made[:16])]
    found: list[int] = []
    sender = threading.Thread(target=lambda: tracker.has_room(made[16], 60) and found.append(tracker.in_flight))
    sender.start()
    for result in results:
        while not tracker._room_wanted and sender.is_alive():
            sender.join(0.001)
        result.success((0, 0, None))
        sender.join(0.01)
        if found:
            break
    sender.join(60)
    assert found == [14]


def test_a_message_larger_than_the_buffer_goes_alone() -> None:
    assert DeliveryTracker(1).has_room(sales(1)[0], 0)


def test_a_waiting_sender_is_woken_by_the_answer() -> None:
    first, second = sales(2)
    tracker = DeliveryTracker(1)
    result = sent(tracker, first)
    threading.Timer(0.01, result.success, [(0, 0, None)]).start()
    assert tracker.has_room(second, 5)


def test_silence_and_its_end_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    tracker = DeliveryTracker(10**6, clock=lambda: now[0])
    result = sent(tracker, sales(1)[0])
    for now[0] in (104.0, 106.0, 107.0, 120.0):
        tracker.watch()
    result.success((0, 0, None))
    for now[0] in (121.0, 130.0):
        tracker.watch()
    said = capsys.readouterr()
    text = said.out + said.err
    assert text.count("no acknowledgement for 6 s, in flight: 1 message; retrying") == 1
    assert text.count("acknowledgements are back after 20 s") == 1


# --- the truth file ---


def test_runs_are_appended_and_a_torn_line_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    path.write_text('{"torn', encoding="utf-8")
    truth = TruthFile(path, "two")
    truth.write("prevu", 0)
    assert path.read_text(encoding="utf-8") == '{"torn\n{"run": "two", "etat": "prevu", "n": 0}\n'


def test_a_truth_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError) as caught:
        TruthFile(tmp_path / "none" / "truth", "r")
    assert str(caught.value) == f"The truth file {tmp_path}/none/truth cannot be opened: No such file or directory."


def test_a_full_disk_in_the_callback_is_not_swallowed() -> None:
    tracker = DeliveryTracker(10**6, TruthFile(Path("/dev/full"), "r"))
    with pytest.raises(LakehouseError) as caught:
        tracker.intended(0, sales(1)[0])
    assert str(caught.value) == "The truth file /dev/full cannot be written: No space left on device."
    with pytest.raises(LakehouseError):
        tracker.check()
