"""A few runs over one checkpoint with any settings changed between them, by real Spark: what is stored is what one run stores.

Thousands of such runs go through the model in ``tests/unit/bronze/test_settings_property.py``.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakehouse.contract.tables import REJETS, VENTES
from lakehouse.lake import spark_session
from tests.spark.bronze.test_settings_change import Lake
from tests.support.harness import spark_setting

DRAWN = st.fixed_dictionaries(
    {
        "STREAMING__WATERMARK_DELAY": st.sampled_from(["2 seconds", "300 seconds", "2000 seconds"]),
        "STREAMING__FUTURE_TOLERANCE": st.sampled_from(["0 seconds", "1 second", "2 seconds"]),
        "STREAMING__CHAMPS_INCONNUS": st.sampled_from(["ignorer", "garder"]),
        "STREAMING__STATE_STORE": st.sampled_from(["memory", "rocksdb"]),
        "SPARK__SHUFFLE_PARTITIONS": st.sampled_from(["1", "2", "3"]),
        "PERFORMANCE__SMALL_BATCH_ROWS": st.sampled_from(["0", "50000"]),
        "PERFORMANCE__BROADCAST_ROWS": st.sampled_from(["0", "50000"]),
        "ANALYTICS__TIMEZONE": st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]),
    }
)
AGES = (0.0, 1.5, 100.0, 900.0, 5000.0, 90_000.0)
"""Of one sale each; every run is given all of them, as copies, and a bad message."""


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(runs=st.lists(DRAWN, min_size=3, max_size=3))
def test_any_settings_in_any_order_store_each_message_once(spark: SparkSession, runs: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(spark, Path(folder))
        sales = [(f"v{number}", age) for number, age in enumerate(AGES)]
        for run in runs:
            lake.topic.deliver(sales, sales[::-1], extra={"remise": 1})
            lake.topic.deliver([], bad=[b"{"])
            with ExitStack() as stack:  # the session is shared: what a job's own session would have
                chosen = spark_session.shared_settings(lake.settings(**run), "bronze")
                for name in ("spark.sql.shuffle.partitions", "spark.sql.streaming.stateStore.providerClass"):
                    stack.enter_context(spark_setting(spark, name, chosen[name]))
                lake.run(**run)
        assert lake.ids() == [name for name, _ in sales]
        assert (lake.rows(VENTES), lake.rows(REJETS)) == (len(sales), len(runs))
