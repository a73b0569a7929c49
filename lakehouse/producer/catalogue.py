"""The product catalogue, and a seeded pool of clients with names from Faker."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from faker import Factory
from faker import Generator as Faker

from lakehouse.contract.sale import SEGMENTS

POOL_SEED = 2024
"""Seed of the pool in a run without a seed: client 12 is the same person in every such run."""

PARTICULIER, ENTREPRISE = SEGMENTS
_PARTICULIER_SHARE = 0.8

# Faker locale → pays, and its weight in the pool
_COUNTRIES: tuple[tuple[str, str, int], ...] = (
    ("fr_FR", "France", 40),
    ("fr_BE", "Belgique", 8),
    ("fr_CH", "Suisse", 7),
    ("fr_CA", "Canada", 7),
    ("de_DE", "Allemagne", 7),
    ("es_ES", "Espagne", 6),
    ("it_IT", "Italie", 6),
    ("en_GB", "Royaume-Uni", 5),
    ("en_US", "États-Unis", 4),
    ("nl_NL", "Pays-Bas", 3),
    ("pt_PT", "Portugal", 3),
    ("pl_PL", "Pologne", 2),
    ("ja_JP", "Japon", 2),
)


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the catalogue; ``cents`` is the price of one piece in EUR cents."""

    produit_id: int
    nom: str
    categorie: str
    cents: int


CATALOGUE = (
    Product(101, "Ordinateur portable", "Informatique", 899_99),
    Product(102, "Souris sans fil", "Accessoires", 25_50),
    Product(103, "Clavier mécanique", "Accessoires", 75_00),
    Product(104, "Casque audio", "Audio", 59_99),
    Product(105, "Câble USB-C", "Accessoires", 19_99),
    Product(106, "Écran 27 pouces", "Informatique", 299_99),
)


@dataclass(frozen=True, slots=True)
class Client:
    """One person (``Particulier``) or company (``Entreprise``)."""

    client_id: int
    nom: str
    pays: str
    segment: str


def euros(cents: int) -> str:
    """Whole cents, 0 or more → EUR with 2 decimals."""
    return f"{cents // 100}.{cents % 100:02d}"


class Pool:
    """Clients 1, 2, 3 …: client n depends on the seed and n alone, not on the pool's size or on who was asked first."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._fakers: dict[str, Faker] = {}

    def _faker(self, locale: str) -> Faker:
        if locale not in self._fakers:  # made when first needed: the locales together take 0.4 s
            self._fakers[locale] = Factory.create(locale)
        return self._fakers[locale]

    def client(self, client_id: int) -> Client:
        """The client with this id; raises ``ValueError`` below 1. About 20 µs."""
        if client_id < 1:
            raise ValueError(f"client_id {client_id} is not accepted: expected 1 or more")
        identity = f"client:{self._seed}:{client_id}"
        draw = Random(identity)
        ((locale, pays, _),) = draw.choices(_COUNTRIES, weights=[weight for *_, weight in _COUNTRIES])
        segment = PARTICULIER if draw.random() < _PARTICULIER_SHARE else ENTREPRISE
        faker = self._faker(locale)
        faker.seed_instance(identity)
        nom = (
            f"{faker.format('first_name')} {faker.format('last_name')}"
            if segment == PARTICULIER
            else faker.format("company")
        )
        return Client(client_id, nom, pays, segment)
