"""Settings: every one is typed, documented and has an effect; a wrong one is one clear sentence and exit code 2."""

from __future__ import annotations

import ast
import dataclasses
import errno
import functools
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import DeltaError
from filelock import FileLock

import spark_streaming_delta
from lakehouse import cli, config
from lakehouse.bronze import job as bronze_job
from lakehouse.bronze import kafka_batch
from lakehouse.bronze.batch_settings import BatchSettings
from lakehouse.config import PROJECT, Config, FilePath, paths
from lakehouse.config.settings import Kafka
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.errors import ConfigError
from lakehouse.jvm import jars
from lakehouse.kafka import clients, options, users
from lakehouse.kafka.broker import properties
from lakehouse.lake import object_store, spark_session, table_settings, writer_lock
from lakehouse.observability import log
from lakehouse.silver import engine_choice, job, sink

LAKE_ON_S3 = {
    "VENTES_DELTA__BASE_PATH": "s3a://seau/lac", "VENTES_S3__REGION": "us-east-1", "VENTES_S3__ACCESS_KEY": "cle",
    "VENTES_S3__SECRET_KEY": "secret",
}  # fmt: skip

SASL = {
    "VENTES_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "VENTES_KAFKA__SASL_USERNAME": "bronze",
    "VENTES_KAFKA__SASL_PASSWORD": "canary",
}

# setting → (another value, what it decides); the probe must see a difference
PROBES: dict[str, tuple[str, Callable[[Config], Any]]] = {
    "KAFKA.bootstrap_servers": ("autre:9093", options.servers),
    "KAFKA.topic": ("autre", lambda c: kafka_batch.source_options(c, fail_on_data_loss=True)["subscribe"]),
    "KAFKA.partitions": ("7", clients.topic_settings),
    "KAFKA.replication_factor": ("3", clients.topic_settings),
    "KAFKA.retention": ("1 hour", clients.topic_settings),
    "KAFKA.max_message_bytes": ("2000000", clients.topic_settings),
    "KAFKA.controller_port": ("19999", properties.nodes),
    "KAFKA.brokers": ("3", options.servers),
    "KAFKA.request_timeout": ("3 seconds", options.client_options),
    "KAFKA.security_protocol": ("SSL", options.client_options),
    "KAFKA.ssl_cafile": ("/tmp/ca.pem", options.spark_options),
    "KAFKA.sasl_mechanism": ("PLAIN", options.spark_options),
    "KAFKA.sasl_username": ("autre", options.spark_options),
    "KAFKA.tls_dir": ("/autre", users.folder),
    "KAFKA.sasl_password": ("autre", options.client_options),
    "STREAMING.state_store": ("memory", lambda config: spark_session.shared_settings(config, "bronze")),
    "SPARK.master": ("local[1]", spark_session.own_settings),
    "SPARK.driver_memory": ("2g", spark_session.own_settings),
    "SPARK.java_options": ("-Xss4m", spark_session.own_settings),
    "SPARK.app_name": ("autre", lambda c: spark_session.shared_settings(c, "bronze")),
    "SPARK.shuffle_partitions": ("8", lambda c: spark_session.shared_settings(c, "bronze")),
    "SPARK.ui": ("true", lambda c: spark_session.shared_settings(c, "bronze")),
    "SPARK.ui_port": ("4050", lambda c: spark_session.shared_settings(c, "bronze")),
    "SPARK.conf": ("spark.task.maxFailures=8", spark_session.extra_settings),
    "DELTA.base_path": ("/autre", lambda c: VENTES.path(c.delta.base_path)),
    "DELTA.checkpoint_interval": ("10", lambda c: table_settings.wanted_properties(PAR_PAYS, c)),
    "DELTA.log_retention": ("3 days", lambda c: table_settings.wanted_properties(VENTES, c)),
    "DELTA.deleted_file_retention": ("1 day", lambda c: table_settings.wanted_properties(VENTES, c)),
    "DELTA.auto_compact": ("false", lambda c: table_settings.wanted_properties(PAR_PAYS, c)),
    "DELTA.auto_compact_min_files": ("10", lambda c: spark_session.shared_settings(c, "bronze")),
    "DELTA.snapshot_partitions": ("4", lambda c: spark_session.shared_settings(c, "bronze")),
    "DELTA.state_path": ("/autre", paths.state),
    "S3.endpoint": ("http://autre:1", object_store.options),
    "S3.region": ("eu-west-3", object_store.spark_settings),
    "S3.path_style": ("true", object_store.spark_settings),
    "S3.access_key": ("autre", object_store.java_environment),
    "S3.secret_key": ("autre", object_store.options),
    "STREAMING.watermark_delay": ("20 minutes", BatchSettings.of),
    "STREAMING.future_tolerance": ("1 minute", BatchSettings.of),
    "STREAMING.trigger_interval": ("5 seconds", lambda c: bronze_job.trigger(c, once=False)),
    "STREAMING.min_offsets_per_trigger": ("5", kafka_batch.gathering_options),
    "STREAMING.max_trigger_delay": ("2 seconds", kafka_batch.gathering_options),
    "STREAMING.max_offsets_per_trigger": ("10", lambda c: kafka_batch.source_options(c, fail_on_data_loss=True)),
    "STREAMING.starting_offsets": ("latest", lambda c: kafka_batch.source_options(c, fail_on_data_loss=True)),
    "STREAMING.restart_delay": ("1 second", lambda c: bronze_job.pause(c, 2)),
    "PRODUCER.linger": ("50 ms", options.producer_options),
    "PRODUCER.batch_size": ("1000", options.producer_options),
    "PRODUCER.compression": ("gzip", options.producer_options),
    "PRODUCER.delivery_timeout": ("1 minute", options.producer_options),
    "ANALYTICS.timezone": ("Europe/Paris", BatchSettings.of),
    "ANALYTICS.seuil_premium": ("600", job.entries),
    "ANALYTICS.seuil_standard": ("50", job.entries),
    "ANALYTICS.achats_fidele": ("3", job.entries),
    "ANALYTICS.engine": ("spark", engine_choice.chosen),
    "ANALYTICS.engine_memory": ("1", lambda c: engine_choice.too_large(c, [10_000_000])),
    "PERFORMANCE.open_writers": ("4", lambda c: spark_session.shared_settings(c, "bronze")),
    "PERFORMANCE.max_partition_fetch_bytes": ("2000", lambda c: kafka_batch.source_options(c, fail_on_data_loss=True)),
    "PERFORMANCE.fetch_max_bytes": ("2000", lambda c: kafka_batch.source_options(c, fail_on_data_loss=True)),
    "PERFORMANCE.fetch_max_wait": ("9 ms", lambda c: kafka_batch.source_options(c, fail_on_data_loss=True)),
    "PERFORMANCE.max_files_per_trigger": (
        "3",
        lambda c: sink.source_options(c, 0),
    ),
    "DEVELOPMENT.cache_dir": ("/autre", lambda c: jars.folder(c, "spark")),
}

# settings whose effect is a behaviour: the test that shows it
SHOWN_BY: dict[str, str] = {
    "SPARK.log_level": "tests/unit/bronze/test_job.py::test_sparks_own_log_level_is_set_when_it_is_another",
    "KAFKA.create_topic": "tests/stream/kafka/test_topic.py::test_a_missing_topic_is_an_error_when_it_may_not_be_created",
    "KAFKA.progress_group": "tests/stream/kafka/test_progress_group.py::test_kafkas_own_command_shows_what_the_checkpoint_has",
    "KAFKA.heap": "tests/unit/kafka/test_broker.py::test_every_kafka_setting_reaches_the_broker",
    "MONITORING.web_user": "tests/unit/observability/test_web_access.py::test_metrics_are_for_those_who_know_the_password",
    "MONITORING.web_password": "tests/unit/observability/test_web_access.py::test_metrics_are_for_those_who_know_the_password",
    "MONITORING.web_password_file": "tests/unit/observability/test_web_access.py::test_the_password_comes_from_a_private_file",
    "MONITORING.web_certificate": "tests/unit/observability/test_web_access.py::test_a_certificate_that_is_none_is_refused",
    "KAFKA.sasl_password_file": "tests/unit/config/test_config.py::test_a_secret_comes_from_a_private_file",
    "DELTA.max_versions": "tests/ops/maintenance/test_maintain.py::test_the_log_keeps_as_many_versions_as_the_settings_say_and_each_can_be_opened",
    "DELTA.maintenance_interval": "tests/ops/maintenance/test_maintain.py::test_a_job_does_its_round_when_one_is_due_and_goes_on_when_it_fails",
    "DELTA.retention_days_bronze": "tests/ops/maintenance/test_retention.py::test_what_retention_takes_out_of_bronze_is_on_record_and_everything_still_adds_up",
    "DELTA.retention_days_rejects": "tests/ops/maintenance/test_retention.py::test_rejects_and_silver_have_ages_of_their_own",
    "DELTA.retention_days_silver": "tests/ops/maintenance/test_retention.py::test_rejects_and_silver_have_ages_of_their_own",
    "DELTA.backup_path": "tests/ops/operations/test_backup.py::test_a_backup_comes_back_as_it_was_and_nothing_is_copied_twice",
    "DELTA.lock_timeout": "tests/unit/config/test_config.py::test_a_writer_waits_for_the_lock_as_long_as_it_is_told",
    "S3.secret_key_file": "tests/unit/lake/test_object_store.py::test_the_secret_comes_from_a_file_of_mode_0600",
    "STREAMING.max_restarts": "tests/unit/bronze/test_job.py::test_the_job_gives_up_after_max_restarts_in_a_row",
    "STREAMING.champs_inconnus": "tests/spark/bronze/test_sink.py::test_unknown_fields_are_kept_from_the_switch_on_over_the_same_checkpoint",
    "PRODUCER.rate": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.clients": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.duplicate_ratio": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.late_ratio": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.malformed_ratio": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.return_ratio": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.cancel_ratio": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.correction_ratio": "tests/unit/producer/test_producer.py::test_settings_hold_where_no_option_is_given",
    "PRODUCER.history": "tests/unit/producer/test_history.py::test_there_is_none_for_a_topic_that_has_held_a_message_nor_unasked",
    "PRODUCER.buffer_memory": "tests/unit/producer/test_delivery_tracker.py::test_a_full_buffer_has_no_room_until_an_answer_comes",
    "ANALYTICS.top_clients": "tests/unit/explorer/test_explorer.py::test_the_report_obeys_its_settings",
    "ANALYTICS.dernieres_ventes": "tests/unit/explorer/test_explorer.py::test_the_report_obeys_its_settings",
    "ANALYTICS.silver_every": "tests/unit/bronze/test_job.py::test_every_without_a_number_takes_the_setting",
    "MONITORING.log_level": "tests/unit/config/test_config.py::test_log_lines_obey_level_and_format",
    "MONITORING.log_format": "tests/unit/config/test_config.py::test_log_lines_obey_level_and_format",
    "MONITORING.progress_interval": "tests/unit/bronze/test_job.py::test_progress_is_reported_at_the_interval",
    "MONITORING.metrics": "tests/process/observability/test_monitor.py::test_the_setting_decides_the_port_the_host_and_whether_anything_is_served",
    "MONITORING.metrics_host": "tests/process/observability/test_monitor.py::test_the_setting_decides_the_port_the_host_and_whether_anything_is_served",
    "MONITORING.producer_metrics_port": "tests/process/observability/test_monitor.py::test_each_process_has_its_own_port",
    "MONITORING.bronze_metrics_port": "tests/process/observability/test_monitor.py::test_each_process_has_its_own_port",
    "MONITORING.silver_metrics_port": "tests/process/observability/test_monitor.py::test_each_process_has_its_own_port",
    "MONITORING.kafka_metrics_port": "tests/process/observability/test_monitor.py::test_each_process_has_its_own_port",
    "MONITORING.dashboard_metrics_port": "tests/process/observability/test_monitor.py::test_each_process_has_its_own_port",
    "MONITORING.sample_interval": "tests/process/observability/test_monitor.py::test_samples_are_taken_at_the_interval_once_started_and_a_failing_one_is_counted",
    "MONITORING.stuck_after": "tests/process/observability/test_monitor.py::test_livez_fails_when_the_loop_stands_still_and_not_when_it_rests",
    "MONITORING.bronze_stale_after": "tests/process/observability/test_monitor.py::test_bronze_is_not_ready_without_a_broker_or_without_a_trigger",
    "MONITORING.silver_stale_after": "tests/process/observability/test_monitor.py::test_silver_is_not_ready_when_a_pass_is_overdue",
    "MONITORING.producer_stale_after": "tests/process/observability/test_monitor.py::test_the_producer_is_not_ready_when_messages_wait_too_long",
    "MONITORING.log_file_bytes": "tests/unit/observability/test_log.py::test_a_log_file_is_rotated_at_its_size_and_a_few_are_kept",
    "MONITORING.log_file_count": "tests/unit/observability/test_log.py::test_a_log_file_is_rotated_at_its_size_and_a_few_are_kept",
    "MONITORING.min_free_disk": "tests/unit/setup/test_checks.py::test_disk",
    "MONITORING.dashboard_host": "tests/process/dashboard/test_dashboard.py::test_it_listens_where_the_settings_say",
    "MONITORING.dashboard_port": "tests/process/dashboard/test_dashboard.py::test_it_listens_where_the_settings_say",
    "PERFORMANCE.small_batch_rows": "tests/spark/bronze/test_sink.py::test_a_small_batch_is_one_file_and_a_large_one_is_not",
    "PERFORMANCE.delta_append": "tests/spark/lake/test_append.py::test_the_setting_chooses_the_way",
    "PERFORMANCE.broadcast_rows": "tests/spark/bronze/test_sink.py::test_few_old_rows_are_broadcast_and_many_are_not",
    "DEVELOPMENT.java_home": "tests/unit/jvm/test_java.py::test_the_setting_wins_and_is_never_overridden",
    "DEVELOPMENT.jars": "tests/unit/setup/test_checks.py::test_provided_jars_are_not_asked_for",
    "DEVELOPMENT.restart_children": "tests/process/setup/test_supervisor.py::test_without_restarts_the_first_death_stops_all",
}

NAMES = [f"{row.section}.{row.key}" for row in config.settings()]
ROOT = PROJECT


def env(name: str) -> str:
    section, key = name.split(".")
    return f"VENTES_{section}__{key.upper()}"


def test_there_are_30_settings_or_more_in_the_ten_sections() -> None:
    assert len(NAMES) >= 30
    assert list(dict.fromkeys(name.split(".")[0] for name in NAMES)) == [
        "KAFKA", "SPARK", "DELTA", "S3", "STREAMING", "PRODUCER", "ANALYTICS", "MONITORING", "PERFORMANCE", "DEVELOPMENT",
    ]  # fmt: skip
    assert all(row.help and row.type for row in config.settings())


def test_every_setting_is_shown_to_have_an_effect() -> None:
    assert sorted(NAMES) == sorted([*PROBES, *SHOWN_BY])


@pytest.mark.parametrize("name", PROBES)
def test_a_setting_changes_what_it_decides(name: str) -> None:
    value, probe = PROBES[name]
    basis = SASL if name.startswith(("KAFKA.sasl", "KAFKA.ssl")) else LAKE_ON_S3 if name.startswith("S3.") else {}
    assert probe(config.load(env=basis)) != probe(config.load(env={**basis, env(name): value}))


@pytest.mark.parametrize("name", SHOWN_BY)
def test_the_test_that_shows_a_setting_exists(name: str) -> None:
    path, _, test = SHOWN_BY[name].partition("::")
    assert test in functions(path)


@functools.cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_config_ini_is_the_table_itself() -> None:
    assert (ROOT / "config.ini").read_text(encoding="utf-8") == config.ini_text()


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """Defaults → ini file → the same defaults; and → environment → the same again."""
    (tmp_path / "config.ini").write_text(config.ini_text(), encoding="utf-8")
    loaded = config.load(tmp_path / "config.ini", env={})
    defaults = dataclasses.replace(Config(), kafka=Kafka(tls_dir=FilePath(tmp_path / "data" / "tls")))
    for section in ("kafka", "spark", "streaming", "producer", "analytics", "monitoring", "performance"):
        assert getattr(loaded, section) == getattr(defaults, section)
    again = config.load(tmp_path / "config.ini", env=config.as_environment(loaded))
    assert again == loaded


def test_a_relative_path_counts_from_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "c.ini").write_text("[DELTA]\nbase_path = lac\n")
    assert config.load(tmp_path / "c.ini", env={}).delta.base_path == str(tmp_path / "lac")
    assert config.load(env=LAKE_ON_S3).delta.base_path == "s3a://seau/lac"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KAFKA.partitions", "deux", "expected a whole number"),
        ("KAFKA.partitions", "0", "expected a value of 1 or more"),
        ("KAFKA.create_topic", "peut-être", "expected true or false"),
        ("KAFKA.security_protocol", "TLS", "expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("KAFKA.bootstrap_servers", "localhost", "expected host:port"),
        ("KAFKA.topic", "ventes stream", "letters, digits"),
        ("SPARK.driver_memory", "beaucoup", "expected a size such as 512m or 1g"),
        (
            "SPARK.master",
            "spark://atlas",
            "expected local[*], local[N], spark://host:7077, k8s://https://host:443 or yarn",
        ),
        ("SPARK.master", "yarn-cluster", "expected local[*]"),
        ("SPARK.master", "local[0]", "expected local[*]"),
        ("SPARK.conf", "master=local", "expected spark.some.key=value, one a line"),
        ("STREAMING.watermark_delay", "10", "expected a number and a unit, such as '10 minutes'"),
        ("STREAMING.watermark_delay", "0 seconds", "expected a value of 1 seconds or more"),
        ("STREAMING.watermark_delay", "99999999999 days", "expected a shorter duration"),
        ("STREAMING.future_tolerance", "11 minutes", "may not exceed watermark_delay"),
        ("PRODUCER.rate", "0", "expected a number above 0, or max"),
        ("PRODUCER.rate", "nan", "expected a finite number"),
        ("PRODUCER.late_ratio", "1.5", "expected a value of 1 or less"),
        ("ANALYTICS.timezone", "posix/Europe/Paris", "expected an IANA time zone that Java knows as well"),
        ("ANALYTICS.timezone", "right/Europe/Paris", "expected an IANA time zone that Java knows as well"),
        ("ANALYTICS.timezone", "localtime", "expected an IANA time zone that Java knows as well"),
        ("ANALYTICS.timezone", "Factory", "expected an IANA time zone that Java knows as well"),
        ("ANALYTICS.timezone", "EST", "expected an IANA time zone that Java knows as well"),
        ("ANALYTICS.timezone", "Paris", "expected an IANA time zone such as UTC or Europe/Paris"),
        ("ANALYTICS.seuil_premium", "NaN", "expected a decimal number of 0 or more"),
        ("ANALYTICS.seuil_standard", "501", "may not exceed seuil_premium"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_it(name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(env={env(name): value})
    message = str(caught.value)
    assert expected in message
    assert name.split(".")[1] in message or "watermark_delay" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[KAFKA]\nbootstrap_server = a:1\n", "Unknown key 'bootstrap_server' in section [KAFKA] in {ini}. Did you mean bootstrap_servers?"),
        ("[KAFK]\ntopic = a\n", "Unknown section [KAFK] in {ini}. Did you mean KAFKA?"),
        ("topic = a\n", "The settings file {ini} cannot be read: "),
        ("[KAFKA]\ntopic = a\ntopic = b\n", "The settings file {ini} cannot be read: "),
        ("[KAFKA]\nsasl_password = hunter2\n", "[KAFKA] sasl_password is a secret and may not stand in {ini}: set VENTES_KAFKA__SASL_PASSWORD"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_sentence_exit_code_2_and_nothing_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setattr(spark_streaming_delta, "_run", lambda *_: pytest.fail("started"))
    ini = tmp_path / "c.ini"
    ini.write_text(text)
    assert spark_streaming_delta.main(["--config", str(ini)]) == 2
    shown = capsys.readouterr().err
    assert message.format(ini=ini) in shown
    assert len(shown.strip().splitlines()) == 1
    assert "hunter2" not in shown


def test_unknown_names_in_the_environment_are_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=re.escape(
            "Unknown key 'topik' in section [KAFKA] (VENTES_KAFKA__TOPIK in the environment). Did you mean topic?"
        ),
    ):
        config.load(env={"VENTES_KAFKA__TOPIK": "a"})
    with pytest.raises(ConfigError, match="expected VENTES_<SECTION>__<KEY>"):
        config.load(env={"VENTES_TOPIC": "a"})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match="No such settings file: /nulle/part"):
        config.load("/nulle/part.ini")


def test_a_secret_comes_from_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("canary\n")
    file.chmod(0o600)
    given = {k: v for k, v in SASL.items() if "PASSWORD" not in k} | {"VENTES_KAFKA__SASL_PASSWORD_FILE": str(file)}
    loaded = config.load(env=given)
    assert loaded.kafka.sasl_password == "canary"
    assert "canary" not in repr(loaded)
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"which others can read \(mode 0640\): chmod 600"):
        config.load(env=given)
    with pytest.raises(ConfigError, match="needs sasl_username and a password"):
        config.load(env={"VENTES_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "VENTES_KAFKA__SASL_USERNAME": "bronze"})


def test_a_writer_waits_for_the_lock_as_long_as_it_is_told(tmp_path: Path) -> None:
    patient = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path), "VENTES_DELTA__LOCK_TIMEOUT": "60 seconds"})
    (tmp_path / "locks").mkdir()
    held = FileLock(tmp_path / "locks" / "bronze.lock", thread_local=False)
    held.acquire()
    threading.Timer(0.05, held.release).start()
    with writer_lock.writer_lock(patient, "bronze"):
        pass  # it was waited for; without a timeout: tests/stream, two jobs on one table


@pytest.mark.parametrize(
    ("text", "value"), [("10 minutes", 600), ("1 s", 1), ("500 ms", 0.5), ("2h", 7200), ("1.5 min", 90)]
)
def test_durations(text: str, value: float) -> None:
    assert config.parse_duration(text) == timedelta(seconds=value)
    assert config.parse_duration(config.format_duration(timedelta(seconds=value))) == timedelta(seconds=value)


def test_log_lines_obey_level_and_format(capsys: pytest.CaptureFixture[str]) -> None:
    monitoring = config.load(
        env={"VENTES_MONITORING__LOG_LEVEL": "WARNING", "VENTES_MONITORING__LOG_FORMAT": "json"}
    ).monitoring
    log.configure(monitoring)
    log.get("essai").info("unseen")
    log.get("essai").warning("seen", offset=3)
    (line,) = capsys.readouterr().err.splitlines()
    assert '"event": "seen"' in line and '"job": "essai"' in line and '"offset": 3' in line
    log.configure(config.load(env={}).monitoring)
    log.get("essai").info("seen too")
    assert "seen too" in capsys.readouterr().err


def test_an_interrupted_script_and_a_known_error_have_their_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object, __: Config) -> int:
        raise ConfigError("Wrong.")

    def interrupt(_: object, __: Config) -> int:
        raise KeyboardInterrupt

    made = cli.parser("essai.py", "Try.", ("essai.py",))
    assert (cli.run(made, fail, []), capsys.readouterr().err) == (2, "essai.py: Wrong.\n")
    assert cli.run(made, interrupt, []) == 130
    assert cli.run(made, fail, ["--help"]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_is_one_sentence_and_any_other_fault_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def write(_: object, __: Config) -> int:
        with open("/dev/full", "wb", buffering=0) as stream:  # noqa: PTH123
            stream.write(b"x")
        return 0

    def of_a_table(_: object, __: Config) -> int:
        raise DeltaError("Generic LocalFileSystem error: No space left on device (os error 28)")

    def other(_: object, __: Config) -> int:
        raise OSError(errno.ENODEV, "broken")

    def no_place(_: object, __: Config) -> int:
        Path("/dev/null/locks").mkdir()
        return 0

    made = cli.parser("essai.py", "Try.", ("essai.py",))
    assert cli.run(made, no_place, []) == 1
    said = capsys.readouterr().err
    assert said.startswith("essai.py: /dev/null/locks cannot be read or written: Not a directory. Type: ls -ld")
    for body in (write, of_a_table):
        assert cli.run(made, body, []) == 1
        assert capsys.readouterr().err.startswith("essai.py: The disk is full. See which: df -h. Make room, and type")
    with pytest.raises(OSError, match="broken"):
        cli.run(made, other, [])


def test_sections_are_frozen_and_money_is_decimal() -> None:
    loaded = config.load(env={})
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.kafka.topic = "autre"  # type: ignore[misc]
    assert loaded.analytics.seuil_premium == Decimal(500)


@pytest.mark.parametrize(
    "master",
    ["local", "local[*]", "local[4]", "local[4,2]", "spark://a:7077", "spark://a:7077,b:7077", "spark://[::1]:7077",
     "k8s://https://10.0.0.1:443", "k8s://kubernetes.default.svc", "yarn"],
)  # fmt: skip
def test_every_kind_of_master_is_accepted(master: str) -> None:
    assert config.load(env={"VENTES_SPARK__MASTER": master}).spark.master == master
