"""What an application wrote last stays known through the commits of others: forgotten, its repeated batch is let in twice."""

from __future__ import annotations

from lakehouse.lake import version_checksum
from tests.unit.lake.test_delta_checksum import FIRST, add


def transaction(name: str, version: int) -> dict[str, dict[str, object]]:
    return {"txn": {"appId": name, "version": version}}


def test_earlier_transactions_are_carried_on() -> None:
    known = version_checksum.after(None, [*FIRST, transaction("x", 7)])
    for actions in ([add("a", 3)], [transaction("y", 1)], [add("b", 4), transaction("y", 2)]):
        known = version_checksum.after(known, actions)
        assert known is not None
    assert known is not None
    assert [(each["appId"], each["version"]) for each in known["setTransactions"]] == [("x", 7), ("y", 2)]
