"""The fault campaign's own promises: its checkers share nothing with the product, its bugs have a place, its seams are off."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaign.checkers import bronze, secrets
from campaign.claims import CLAIMS
from campaign.faults.processes import SECRET, Place
from campaign.generator import workload
from campaign.generator.sender import Sent
from campaign.generator.workload import Message
from campaign.planted.bugs import BUGS
from lakehouse.config import loader
from lakehouse.contract import sale

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize("path", sorted((ROOT / "campaign").rglob("*.py")), ids=lambda path: path.name)
def test_the_campaign_imports_nothing_of_the_product(path: Path) -> None:
    names = [
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    assert [name for name in names if name.split(".")[0] == "lakehouse"] == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_planted_bug_has_its_place(bug) -> None:  # type: ignore[no-untyped-def]
    text = (ROOT / "lakehouse" / bug.file).read_text(encoding="utf-8")
    assert text.count(bug.old) == 1
    ast.parse(text.replace(bug.old, bug.new))


def test_a_seed_gives_the_same_messages() -> None:
    first, second = (list(workload.messages(7, 300, 3, NOW, "a")) for _ in range(2))
    assert first == second
    assert Counter(each.kind for each in first).keys() == workload.KINDS.keys()


def test_the_workload_knows_what_the_contract_accepts() -> None:
    for each in workload.messages(3, 500, 3, NOW, "a"):
        valid = sale.validate(each.value).canonique is not None
        accepted = each.sale_id is not None or each.operation_id is not None
        assert valid == (accepted or each.kind == "future"), each  # the future depends on the broker's clock


def _lake(folder: Path, sales: list[dict[str, object]]) -> Path:
    import pyarrow as pa
    from deltalake import write_deltalake

    from lakehouse.contract.tables import REJETS, VENTES
    from lakehouse.lake.delta_tables import schema

    write_deltalake(VENTES.path(str(folder)), pa.Table.from_pylist(sales, schema(VENTES)), partition_by=["jour"])
    write_deltalake(REJETS.path(str(folder)), pa.Table.from_pylist([], schema(REJETS)), partition_by=["jour"])
    return folder


def _stored(message: Message, partition: int, offset: int) -> dict[str, object]:
    fields = sale.fields_of(sale.validate(message.value).canonique or "")
    return {
        **fields, "jour": fields["timestamp"].date(), "kafka_partition": partition, "kafka_offset": offset,
        "date_ingestion": NOW, "kafka_timestamp": NOW, "est_tardif": False,
    }  # fmt: skip


def test_the_checkers_of_bronze_see_loss_doubles_and_wrong_places(tmp_path: Path) -> None:
    made = [each for each in workload.messages(1, 60, 1, NOW, "a") if each.kind == "sale"][:5]
    sent = [Sent(each, 0, number, False) for number, each in enumerate(made)]
    rows = [_stored(each.message, each.partition, each.offset) for each in sent]

    def claims(name: str, stored: list[dict[str, object]]) -> set[str]:
        return {each.claim for each in bronze.check(_lake(tmp_path / name, stored), sent, "t")}

    assert claims("right", rows) == set()
    assert claims("lost", rows[1:]) == {"S1"}
    assert claims("doubled", [*rows, rows[0]]) == {"S3", "S4"}
    assert claims("moved", [{**rows[0], "kafka_offset": 9}, *rows[1:]]) == {"S1"}
    assert claims("cents", [{**rows[0], "montant": 1}, *rows[1:]]) == {"S1"}


def test_a_secret_that_every_process_has_is_looked_for_in_every_file(tmp_path: Path) -> None:
    place = Place(ROOT, tmp_path, "localhost:1", "t")
    assert SECRET in place.environment().values()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bronze.log").write_text("nothing")
    assert list(secrets.check([tmp_path], [SECRET])) == []
    (tmp_path / "logs" / "bronze.log").write_text(f"password={SECRET}")
    assert [each.claim for each in secrets.check([tmp_path], [SECRET])] == ["S13"]


def test_every_violation_has_a_claim() -> None:
    used = {
        node.args[0].value
        for path in (ROOT / "campaign").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Violation"
        and isinstance(node.args[0], ast.Constant)
    }
    assert used <= CLAIMS.keys()


_WRITER = "import sys\nfrom lakehouse import atomic_file\natomic_file.write(sys.argv[1], 'new')\n"


def _written(target: Path, **environment: str) -> int:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", _WRITER, str(target)], cwd=ROOT, env=env, check=False).returncode


def test_a_process_dies_at_the_step_that_was_asked_for(tmp_path: Path) -> None:
    target, log = tmp_path / "f", tmp_path / "steps"
    target.write_text("old")
    assert _written(target, VENTES_CRASH_AT="1", VENTES_CRASH_LOG=str(log)) == -signal.SIGKILL
    assert target.read_text() == "old"
    assert log.read_text() == "1 before f is replaced\n"
    assert _written(target, VENTES_CRASH_AT="2", VENTES_CRASH_LOG=str(log)) == -signal.SIGKILL
    assert target.read_text() == "new"


def test_steps_are_off_without_the_variable(tmp_path: Path) -> None:
    log = tmp_path / "steps"
    assert _written(tmp_path / "f", VENTES_CRASH_LOG=str(log)) == 0
    assert not log.exists()


def test_the_variables_are_no_settings() -> None:
    assert loader.load(env={"VENTES_CRASH_AT": "3"}) == loader.load(env={})
    assert json.dumps(loader.as_environment(loader.load(env={}))).count("CRASH") == 0
