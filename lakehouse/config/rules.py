"""Validation rules that span several settings or that no type expresses; one sentence each."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta

from lakehouse.config import paths
from lakehouse.config.fields import ENV_PREFIX, format_duration
from lakehouse.config.settings import Config
from lakehouse.errors import ConfigError

_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}"
_MASTERS = rf"local(?:\[(?:\*|[1-9]\d*)(?:,\s*[1-9]\d*)?\])?|spark://{_HOST}(?:,{_HOST})*|k8s://(?:https?://)?\S+|yarn"


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check(config: Config) -> None:
    """Raise ``ConfigError`` for the first rule that does not hold."""
    streaming, analytics, kafka, producer = config.streaming, config.analytics, config.kafka, config.producer
    if streaming.future_tolerance > streaming.watermark_delay:
        raise ConfigError(
            f"[STREAMING] future_tolerance ({format_duration(streaming.future_tolerance)}) may not exceed watermark_delay "
            f"({format_duration(streaming.watermark_delay)}): a future sale's duplicate could then come after the deduplication state has forgotten the sale."
        )
    for key in ("retention_days_bronze", "retention_days_rejects"):
        kept = timedelta(days=getattr(config.delta, key))
        if kept and kept < kafka.retention:
            raise ConfigError(
                f"[DELTA] {key} ({format_duration(kept)}) may not be shorter than [KAFKA] retention "
                f"({format_duration(kafka.retention)}): a topic that is read again would bring back what was removed."
            )
    if analytics.seuil_standard > analytics.seuil_premium:
        raise ConfigError(
            f"[ANALYTICS] seuil_standard ({analytics.seuil_standard}) may not exceed seuil_premium ({analytics.seuil_premium})."
        )
    if sum(producer.ratios.values()) > 1:
        raise ConfigError(f"[PRODUCER] {' + '.join(f'{name}_ratio' for name in producer.ratios)} may not exceed 1.")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", kafka.topic):
        raise ConfigError(
            f"[KAFKA] topic = {kafka.topic!r} is not accepted: letters, digits, '.', '_', '-', at most 249."
        )
    for server in kafka.bootstrap_servers.split(","):
        if not re.fullmatch(r"\s*\[?[A-Za-z0-9._:-]+\]?:\d{1,5}\s*", server):
            raise ConfigError(f"[KAFKA] bootstrap_servers: {server!r} is not accepted: expected host:port.")
    named = len(kafka.bootstrap_servers.split(","))
    if kafka.brokers > 1 and 1 < named < kafka.brokers:
        raise ConfigError(
            f"[KAFKA] brokers = {kafka.brokers} is not accepted with {named} bootstrap_servers: name all "
            f"{kafka.brokers}, or the first alone."
        )
    for section, key, text in (("SPARK", "driver_memory", config.spark.driver_memory), ("KAFKA", "heap", kafka.heap)):
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", text):
            raise ConfigError(f"[{section}] {key} = {text!r} is not accepted: expected a size such as 512m or 1g.")
    if not re.fullmatch(_MASTERS, config.spark.master):
        raise ConfigError(
            f"[SPARK] master = {config.spark.master!r} is not accepted: expected local[*], local[N], "
            f"spark://host:7077, k8s://https://host:443 or yarn."
        )
    for line in filter(None, map(str.strip, config.spark.conf.splitlines())):
        if not re.fullmatch(r"spark\.[^=\s]+\s*=.*", line):
            raise ConfigError(f"[SPARK] conf: {line!r} is not accepted: expected spark.some.key=value, one a line.")
    _check_store(config)
    if kafka.security_protocol.startswith("SASL") and bool(kafka.sasl_username) != bool(kafka.sasl_password):
        raise ConfigError(
            f"[KAFKA] security_protocol = {kafka.security_protocol} needs sasl_username and a password: set "
            f"{ENV_PREFIX}KAFKA__SASL_PASSWORD or sasl_password_file."
        )
    monitoring = config.monitoring
    if monitoring.web_password and not monitoring.web_certificate:
        raise ConfigError(
            "[MONITORING] web_password without web_certificate is not accepted: the password would travel in the clear. "
            "Type: python setup_utils.py tls, and set web_certificate to the web.pem that it makes."
        )
    for key, host in (("metrics_host", monitoring.metrics_host), ("dashboard_host", monitoring.dashboard_host)):
        if not is_loopback(host) and not monitoring.web_password:
            raise ConfigError(
                f"[MONITORING] {key} = {host} is not accepted without a password and TLS: whoever reaches it could read "
                f"the figures. Set web_certificate and web_password_file (or {ENV_PREFIX}MONITORING__WEB_PASSWORD), or "
                f"{key} = 127.0.0.1."
            )


def _check_store(config: Config) -> None:
    """Rules for a lake in an object store."""
    base, s3 = config.delta.base_path, config.s3
    if part := paths.misread(base):
        raise ConfigError(
            f"[DELTA] base_path = {base} is not accepted: deltalake reads {part!r} in a name as something else, and would open "
            f"another folder. Rename the folder, or take one without it."
        )
    if paths.is_uri(config.delta.state_path):
        raise ConfigError(f"[DELTA] state_path = {config.delta.state_path} is not accepted: expected a folder, no URI.")
    if base.startswith(("s3://", "s3n://")):
        raise ConfigError(
            f"[DELTA] base_path = {base} is not accepted: Spark reads S3 as s3a://{base.partition('://')[2]}."
        )
    if base.startswith("s3a://") and not s3.region:
        raise ConfigError(
            f"[DELTA] base_path = {base} needs [S3] region, such as eu-west-3 (us-east-1 for most servers)."
        )
    if s3.endpoint and not re.fullmatch(r"https?://[^/\s]+/?", s3.endpoint):
        raise ConfigError(f"[S3] endpoint = {s3.endpoint!r} is not accepted: expected http(s)://host:port.")
    if bool(s3.access_key) != bool(s3.secret_key):
        raise ConfigError(
            f"[S3] access_key and secret_key belong together: set both, or neither. The secret is set by "
            f"{ENV_PREFIX}S3__SECRET_KEY or secret_key_file."
        )
