"""The tables of the lake: one ``TableSpec`` each; no other file holds a lake path or a column type.

Column types are Spark DDL types. A column whose name starts with ``_`` is internal: it keeps what a merge needs
(the members of a small set, the latest sale) and is not shown to people.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableSpec:
    """One table: where it lies under the base path, its columns in order, its grain and its partitioning.

    ``stats`` names the columns with file statistics: those that queries prune by. Statistics on every wide column
    cost about a third of a write (docs/decisions). None of them may name a person: the log and its checksums keep the
    smallest and the largest value of each file for [DELTA] log_retention, also when the person was erased. A table without
    ``stats`` has them on all of its first 32 columns. ``optional`` columns stand after the others, in a table to which a
    setting once added them; a row may have null there. ``dated`` columns tell apart rows of one key that were written at
    different times: a topic that was created anew counts its offsets from 0 again, a reject may be replayed again.
    """

    name: str
    layer: str
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    grain: str = ""
    optional: tuple[tuple[str, str], ...] = ()
    dated: tuple[str, ...] = ()

    def path(self, base: str) -> str:
        return f"{base.rstrip('/')}/{self.layer}/{self.name}"

    @property
    def ddl(self) -> str:
        return ", ".join(f"`{name}` {kind}" for name, kind in self.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which no two rows are equal."""
        return (*self.keys, *self.dated)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)

    @property
    def public(self) -> tuple[str, ...]:
        """The columns that people see."""
        return tuple(name for name in self.names if not name.startswith("_"))


MONEY = "DECIMAL(18,2)"
MONEY_SUM = "DECIMAL(28,2)"  # Spark's own type for a sum of DECIMAL(18,2)

CHAMPS_INCONNUS = "champs_inconnus"
"""What a sale has beyond the contract: one JSON object, each value as the sender wrote it; null when it has nothing."""

VENTES = TableSpec(
    name="ventes_stream",
    layer="bronze",
    grain="one row per sale (vente_id)",
    columns=(
        ("vente_id", "STRING"),
        ("client_id", "BIGINT"),
        ("produit_id", "BIGINT"),
        ("timestamp", "TIMESTAMP"),
        ("quantite", "INT"),
        ("montant", MONEY),
        ("client_nom", "STRING"),
        ("produit_nom", "STRING"),
        ("categorie", "STRING"),
        ("pays", "STRING"),
        ("segment", "STRING"),
        ("jour", "DATE"),
        ("date_ingestion", "TIMESTAMP"),
        ("kafka_partition", "INT"),
        ("kafka_offset", "BIGINT"),
        ("kafka_timestamp", "TIMESTAMP"),
        ("est_tardif", "BOOLEAN"),
    ),
    keys=("vente_id",),
    partition_by=("jour",),
    stats=("timestamp", "date_ingestion", "kafka_partition", "kafka_offset"),
    optional=((CHAMPS_INCONNUS, "STRING"),),
)

REJETS = TableSpec(
    name="ventes_rejetees",
    layer="bronze",
    grain="one row per bad message (topic, kafka_partition, kafka_offset)",
    columns=(
        ("motif", "STRING"), ("explication", "STRING"), ("valeur", "BINARY"), ("cle", "BINARY"), ("topic", "STRING"),
        ("kafka_partition", "INT"), ("kafka_offset", "BIGINT"), ("kafka_timestamp", "TIMESTAMP"),
        ("date_ingestion", "TIMESTAMP"), ("jour", "DATE"),
    ),
    keys=("topic", "kafka_partition", "kafka_offset"),
    dated=("kafka_timestamp",),
    partition_by=("jour",),
    stats=("motif", "kafka_partition", "kafka_offset", "date_ingestion"),
)  # fmt: skip

OPERATIONS = TableSpec(
    name="ventes_operations",
    layer="bronze",
    grain="one row per operation on a sale (operation_id)",
    columns=(
        ("operation_id", "STRING"),
        ("operation", "STRING"),
        ("vente_id", "STRING"),
        ("timestamp", "TIMESTAMP"),
        ("quantite", "INT"),
        ("montant", MONEY),
        ("revision", "BIGINT"),
        ("raison", "STRING"),
        ("client_id", "BIGINT"),
        ("produit_id", "BIGINT"),
        ("client_nom", "STRING"),
        ("produit_nom", "STRING"),
        ("categorie", "STRING"),
        ("pays", "STRING"),
        ("segment", "STRING"),
        ("jour", "DATE"),
        ("date_ingestion", "TIMESTAMP"),
        ("kafka_partition", "INT"),
        ("kafka_offset", "BIGINT"),
        ("kafka_timestamp", "TIMESTAMP"),
        ("est_tardif", "BOOLEAN"),
    ),
    keys=("operation_id",),
    partition_by=("jour",),
    stats=("timestamp", "date_ingestion", "kafka_partition", "kafka_offset"),
)
"""Of a return, ``quantite`` and ``montant`` are what came back; of a correction, the sale's fields are what is right, null where
it says nothing. ``jour``: the operation's own day. The table is made by the first operation."""

PERTES = TableSpec(
    name="pertes_declarees",
    layer="bronze",
    grain="one row per gap in a Kafka partition that an operator accepted as lost",
    columns=(
        ("topic", "STRING"), ("kafka_partition", "INT"), ("premier_offset", "BIGINT"), ("dernier_offset", "BIGINT"),
        ("date_declaration", "TIMESTAMP"), ("operateur", "STRING"),
    ),
    keys=("topic", "kafka_partition", "premier_offset"),
    dated=("dernier_offset", "date_declaration",),
)  # fmt: skip

REJOUES = TableSpec(
    name="rejets_rejoues",
    layer="bronze",
    grain="one row per bad message that an operator replayed (topic, kafka_partition, kafka_offset)",
    columns=(
        ("topic", "STRING"), ("kafka_partition", "INT"), ("kafka_offset", "BIGINT"), ("kafka_timestamp", "TIMESTAMP"),
        ("resultat", "STRING"), ("vente_id", "STRING"), ("corrige", "BOOLEAN"), ("correction", "STRING"),
        ("date_rejeu", "TIMESTAMP"), ("operateur", "STRING"), ("run", "STRING"),
    ),
    keys=("topic", "kafka_partition", "kafka_offset"),
    stats=("kafka_partition", "kafka_offset"),
    dated=("kafka_timestamp", "date_rejeu",),
)  # fmt: skip

_REMOVAL = (
    ("retrait", "STRING"), ("table_source", "STRING"), ("jour_limite", "DATE"), ("date_limite", "TIMESTAMP"),
    ("version_avant", "BIGINT"),
)  # fmt: skip

RETRAITS = TableSpec(
    name="retraits",
    layer="bronze",
    grain="one row per range of Kafka offsets of one batch whose rows retention took away",
    columns=(
        *_REMOVAL, ("kafka_partition", "INT"), ("premier_offset", "BIGINT"), ("dernier_offset", "BIGINT"),
        ("date_ingestion", "TIMESTAMP"),
    ),
    keys=("retrait", "kafka_partition", "premier_offset"),
    dated=("date_ingestion",),
)  # fmt: skip

SOMMES = TableSpec(
    name="retraits_sommes",
    layer="bronze",
    grain="one row per removal × dimension (pays, segment) × cle: the sales that retention took away",
    columns=(
        *_REMOVAL, ("dimension", "STRING"), ("cle", "STRING"), ("ventes", "BIGINT"), ("montant", MONEY_SUM),
        ("articles", "BIGINT"),
    ),
    keys=("retrait", "dimension", "cle"),
)  # fmt: skip

EFFACES = TableSpec(
    name="_effacements",
    layer="bronze",
    grain="one row per erasure and row that it deleted: its place in Kafka, and no name",
    columns=(
        ("effacement", "STRING"), ("table_effacee", "STRING"), ("topic", "STRING"), ("kafka_partition", "INT"),
        ("kafka_offset", "BIGINT"), ("kafka_timestamp", "TIMESTAMP"), ("date_ingestion", "TIMESTAMP"),
        ("empreinte", "STRING"), ("date_effacement", "TIMESTAMP"),
    ),
    keys=("effacement", "table_effacee", "topic", "kafka_partition", "kafka_offset", "kafka_timestamp"),
)  # fmt: skip
"""``empreinte``: the salted hash (``table_properties.SALT``) of an erased sale's vente_id, or of an operation's
operation_id, by which a later copy of it is known."""

BESIDE = (
    ("revenu_brut", MONEY_SUM),
    ("montant_rembourse", MONEY_SUM),
    ("nb_retours", "BIGINT"),
    ("nb_annulations", "BIGINT"),
)
"""What every Silver table has beside its net figures: what was sold, what was paid back, and how often. The tables of an earlier
release gain these columns."""

_LATEST = "STRUCT<timestamp: TIMESTAMP, vente_id: STRING, {}>"

AGGREGES = TableSpec(
    name="ventes_aggreges",
    layer="silver",
    grain="one row per client_id × jour",
    columns=(
        ("client_id", "BIGINT"),
        ("jour", "DATE"),
        ("client_nom", "STRING"),
        ("total_quantite", "BIGINT"),
        ("total_depense", MONEY_SUM),
        ("nb_achats", "BIGINT"),
        ("panier_moyen", MONEY_SUM),
        ("achat_min", MONEY),
        ("achat_max", MONEY),
        ("nb_produits_distincts", "INT"),
        ("est_client_fidele", "BOOLEAN"),
        ("segment_depense", "STRING"),
        ("processing_time", "TIMESTAMP"),
        *BESIDE,
        ("_dernier", _LATEST.format("client_nom: STRING")),
        ("_produits", "ARRAY<BIGINT>"),
    ),
    keys=("client_id", "jour"),
    partition_by=("jour",),
    stats=("processing_time",),
)

PAR_PAYS = TableSpec(
    name="ventes_par_pays",
    layer="silver",
    grain="one row per pays",
    columns=(
        ("pays", "STRING"),
        ("total_transactions", "BIGINT"),
        ("revenue_total", MONEY_SUM),
        ("transaction_moyenne", MONEY_SUM),
        ("items_sold", "BIGINT"),
        ("unique_customers", "BIGINT"),
        ("processing_time", "TIMESTAMP"),
        *BESIDE,
    ),
    keys=("pays",),
    stats=("pays",),
)

PAR_SEGMENT = TableSpec(
    name="ventes_par_segment",
    layer="silver",
    grain="one row per segment",
    columns=(
        ("segment", "STRING"),
        ("total_transactions", "BIGINT"),
        ("revenue_total", MONEY_SUM),
        ("transaction_moyenne", MONEY_SUM),
        ("items_sold", "BIGINT"),
        ("unique_customers", "BIGINT"),
        ("countries_count", "INT"),
        ("processing_time", "TIMESTAMP"),
        *BESIDE,
        ("_pays", "ARRAY<STRING>"),
    ),
    keys=("segment",),
    stats=("segment",),
)

PAR_PRODUIT = TableSpec(
    name="ventes_par_produit",
    layer="silver",
    grain="one row per produit_id × jour",
    columns=(
        ("produit_id", "BIGINT"),
        ("jour", "DATE"),
        ("produit_nom", "STRING"),
        ("categorie", "STRING"),
        ("total_transactions", "BIGINT"),
        ("revenue_total", MONEY_SUM),
        ("items_sold", "BIGINT"),
        ("unique_customers", "BIGINT"),
        *BESIDE,
        ("_dernier", _LATEST.format("produit_nom: STRING, categorie: STRING")),
    ),
    keys=("produit_id", "jour"),
    partition_by=("jour",),
    stats=("produit_id",),
)

TENDANCES = TableSpec(
    name="tendances_horaires",
    layer="silver",
    grain="one row per jour × heure × pays × segment",
    columns=(
        ("jour", "DATE"),
        ("heure", "INT"),
        ("pays", "STRING"),
        ("segment", "STRING"),
        ("total_transactions", "BIGINT"),
        ("revenue_total", MONEY_SUM),
        ("items_sold", "BIGINT"),
        *BESIDE,
    ),
    keys=("jour", "heure", "pays", "segment"),
    partition_by=("jour",),
    stats=("heure",),
)

PROFIL = TableSpec(
    name="profil_clients",
    layer="silver",
    grain="one row per client_id",
    columns=(
        ("client_id", "BIGINT"),
        ("premier_achat", "TIMESTAMP"),
        ("dernier_achat", "TIMESTAMP"),
        ("nb_achats", "BIGINT"),
        ("total_depense", MONEY_SUM),
        ("nb_jours_actifs", "BIGINT"),
        ("pays", "STRING"),
        ("segment", "STRING"),
        *BESIDE,
        ("_dernier", _LATEST.format("pays: STRING, segment: STRING")),
    ),
    keys=("client_id",),
    stats=("nb_jours_actifs",),
)

GENERATIONS = TableSpec(
    name="_generations",
    layer="silver",
    grain="one row per step of a full Silver build: etat is debut, then fin; invalide when an operator ended its life",
    columns=(
        ("generation", "STRING"), ("etat", "STRING"), ("bronze_version", "BIGINT"), ("definition", "STRING"),
        ("date_etat", "TIMESTAMP"),
    ),
    keys=("generation", "etat"),
    optional=(("operations_version", "BIGINT"),),
)  # fmt: skip

CORRECTIONS = TableSpec(
    name="corrections",
    layer="silver",
    grain="one row per refresh × jour × pays × segment whose figures it changed after that day had ended",
    columns=(
        ("date_correction", "TIMESTAMP"), ("jour", "DATE"), ("pays", "STRING"), ("segment", "STRING"),
        ("transactions", "BIGINT"), ("montant", MONEY_SUM), ("articles", "BIGINT"), ("generation", "STRING"),
        ("lot", "BIGINT"),
    ),
    keys=("generation", "lot", "jour", "pays", "segment"),
    dated=("date_correction",),
    stats=("date_correction", "jour"),
)  # fmt: skip

MEMBRES = TableSpec(
    name="_membres",
    layer="silver",
    grain="one row per mesure × jour × cle × membre: what the large exact distinct counts have seen",
    columns=(
        ("mesure", "STRING"), ("jour", "DATE"), ("cle", "STRING"), ("membre", "STRING"), ("_lot", "BIGINT"),
    ),
    keys=("mesure", "jour", "cle", "membre"),
    partition_by=("mesure", "jour"),
    stats=("_lot",),
)  # fmt: skip
"""``_lot`` is the batch that saw the member first, so that a batch that is repeated after a crash finds its own new
members again. ``jour`` is null for a measure that no day bounds."""

PERSONAL = frozenset(
    {
        "client_id", "client_nom", "vente_id", "operation_id", "raison", "valeur", "cle", "membre", "correction", CHAMPS_INCONNUS, "_dernier",
    }
)  # fmt: skip
"""Columns that name a person, or one of a person's sales."""

BRONZE = (VENTES, OPERATIONS, REJETS)
"""The tables that a micro-batch of Bronze appends to, in this order. Without an operation so far there is no ``ventes_operations``."""
SILVER = (AGGREGES, PAR_PAYS, PAR_SEGMENT, PAR_PRODUIT, TENDANCES, PROFIL)
INTERNAL = (EFFACES, RETRAITS, SOMMES, GENERATIONS, MEMBRES)
PUBLIC = (VENTES, REJETS, OPERATIONS, PERTES, REJOUES, *SILVER, CORRECTIONS)


def checkpoint(base: str, job: str) -> str:
    """Folder of a streaming query's checkpoint."""
    return f"{base.rstrip('/')}/checkpoints/{job}"
