"""The claims that a campaign tests, each with its id and the sentence that the project's documents make of it."""

from __future__ import annotations

CLAIMS = {
    "S1": "What the broker acknowledged (and, in a transaction, what was committed) is in Bronze, in the rejects, a duplicate, or declared lost after Kafka gave it up; each field as it was sent.",
    "S2": "What a transaction aborted is in no table.",
    "S3": "A place in Kafka stands once over all tables, also between a crash and the next start.",
    "S4": "A `vente_id` stands once in Bronze, also between a crash and the next start.",
    "S5": "A reject's bytes, key and topic equal Kafka's.",
    "S6": "Of several copies in one partition the lowest offset wins.",
    "S7": "Silver equals a recompute of Bronze, cell by cell, at each published cut and at the end.",
    "S8": "The sums by country, segment, product and hour are one sum, at each published cut and at the end.",
    "S9": "Versions are contiguous; our own reader, deltalake and, where it is installed, DuckDB count the same rows and add up the same sums.",
    "S10": "A version that is kept has the same rows for ever.",
    "S11": "`reconcile` says balanced exactly when S1 to S10 hold, also beside running jobs.",
    "S12": "An erased person is in no row, log, checkpoint of a log or other file, beyond what the receipt lists.",
    "S13": "No secret is in any file of the lake or in a log.",
    "L1": "After a fault a plain start of the same command recovers, each within five minutes; a person is asked only where a checkpoint, a table, the clock or Kafka's messages are damaged.",
    "L2": "A job that ends by itself says why and what to do in one sentence, without a stack trace; a second process of a job refuses to start while the first is stopped.",
    "L4": "What a stopped job or `reconcile` says is to be typed works, and so does each verb.",
}
"""id → sentence. The ids are those of the list of invariants that the project is designed by."""

OUT_OF_SCOPE = (
    "Retention, the page, the explorer and the audit log's chain are not part of a history; their own tests are in `tests/`.",
    "One broker: no leader moves; a lost end of the log is made by giving the broker an older disk.",
    "Silver's Spark engine, object stores, several machines, power cuts and certificates are not part of a history.",
    "A wrong clock and a failing disk are made by a library that is preloaded into a job's processes: what goes past libc (memory-mapped files) is not met.",
    "What was sent and never acknowledged may be in Bronze or not: both are right.",
    "The checkers read the log and the Parquet files by themselves, but through the same Arrow library as the product.",
    "Times are wall times of a machine that had other work to do: they are shown, and no claim is made of them.",
)
"""What no checker here looks at."""
