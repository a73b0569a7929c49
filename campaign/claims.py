"""The claims that a campaign tests, each with its id and the sentence that the project's documents make of it."""

from __future__ import annotations

CLAIMS = {
    "S1": "What the broker acknowledged (and, in a transaction, what was committed) is in Bronze, in the rejects, or a duplicate; each field as it was sent.",
    "S2": "What a transaction aborted is in no table.",
    "S3": "A place in Kafka stands once over all tables, also between a crash and the next start.",
    "S4": "A `vente_id` stands once in Bronze, also between a crash and the next start.",
    "S5": "A reject's bytes, key and topic equal Kafka's.",
    "S6": "Of several copies in one partition the lowest offset wins.",
    "S7": "Silver equals a recompute of Bronze, cell by cell.",
    "S8": "The sums by country, segment, product and hour are one sum.",
    "S9": "Versions are contiguous, and two readers count the same rows.",
    "S10": "A version that is kept has the same rows for ever.",
    "S11": "`reconcile` says balanced exactly when S1 to S10 hold.",
    "S13": "No secret is in any file of the lake or in a log.",
    "L1": "After a fault a plain start of the same command recovers, three at most, each within five minutes.",
    "L2": "A second process of a job refuses to start while the first is stopped, and the first goes on unharmed.",
}
"""id → sentence. The ids are those of the list of invariants that the project is designed by."""

OUT_OF_SCOPE = (
    "Erasing, retention, backups, the audit log, the page and the explorer are not yet part of a history; their own tests "
    "are in `tests/`.",
    "Disks that fail, fill up or lose power, object stores, networks between machines and clocks that jump are not yet part "
    "of a history.",
    "What was sent and never acknowledged may be in Bronze or not: both are right.",
    "The checkers read the log and the Parquet files by themselves, but through the same Arrow library as the product.",
)
"""What no checker here looks at."""
