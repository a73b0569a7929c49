"""What a page's address asks for: page, language, period, country, segment, client. All of it is in the address, so that
a page can be bookmarked, sent to a colleague and read without a cookie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from urllib.parse import urlencode

from lakehouse.explorer.arguments import parse_day, parse_identity
from lakehouse.explorer.queries.model import Filters

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
PAGES = ("sales", "clients", "trust", "running")
PERIODS = {"today": 1, "7d": 7, "30d": 30, "month": None, "all": None, "dates": None}
DEFAULT_PERIOD = "7d"
LONGEST = 200
"""Characters of a country or segment in an address; more is no name."""


@dataclass(frozen=True)
class View:
    """One page as one person asked for it. ``du`` and ``au`` are the business days that ``period`` means today."""

    page: str
    language: Language = "en"
    period: str = DEFAULT_PERIOD
    du: date | None = None
    au: date | None = None
    pays: str = ""
    segment: str = ""
    client: int | None = None
    today: date = date.min
    mistake: str = ""
    """The part of the address that is not accepted; the page says so and shows the default period."""

    @property
    def filters(self) -> Filters:
        return Filters(self.du, self.au, (self.pays,) if self.pays else (), (self.segment,) if self.segment else ())

    @property
    def before(self) -> Filters | None:
        """The days just before, as many as the period has; None when it has no first and last day."""
        if self.du is None or self.au is None or self.du.toordinal() <= (length := (self.au - self.du).days + 1):
            return None
        last = self.du - timedelta(days=1)
        return dataclasses.replace(self.filters, du=last - timedelta(days=length - 1), au=last)

    def address(self, **changes: str) -> str:
        """The address of this view with some parts changed; an empty text removes one."""
        parts = {
            "periode": self.period if self.period != DEFAULT_PERIOD else "",
            "du": str(self.du or "") if self.period == "dates" else "",
            "au": str(self.au or "") if self.period == "dates" else "",
            "pays": self.pays,
            "segment": self.segment,
            "client": "" if self.client is None else str(self.client),
            "lang": self.language,
        }
        page = changes.pop("page", self.page)
        given = {name: text for name, text in {**parts, **changes}.items() if text}
        return f"/{page}?{urlencode(given)}"


def read(page: str, given: Mapping[str, str], *, today: date, accepted: str = "") -> View:
    """The view of an address; ``accepted`` is the browser's list of languages. Never raises: see ``View.mistake``."""
    view = View(page, _language(given.get("lang", ""), accepted), today=today)
    period = given.get("periode", "")
    if not period:
        period = "dates" if given.get("du") or given.get("au") else DEFAULT_PERIOD
    try:
        du, au = _days(period, given, today)
        client = _client(given.get("client", ""))
        pays, segment = (_name(given.get(name, "")) for name in ("pays", "segment"))
    except ValueError as error:
        length = PERIODS[DEFAULT_PERIOD] or 1
        return dataclasses.replace(view, du=today - timedelta(days=length - 1), au=today, mistake=str(error))
    return dataclasses.replace(view, period=period, du=du, au=au, pays=pays, segment=segment, client=client)


def _language(asked: str, accepted: str) -> Language:
    """The one that was asked for, else the browser's first of those that we have, else English."""
    for text in (asked, *accepted.split(",")):
        short = text.split(";")[0].split("-")[0].strip().lower()
        for language in LANGUAGES:
            if short == language:
                return language
    return "en"


def _days(period: str, given: Mapping[str, str], today: date) -> tuple[date | None, date | None]:
    if period not in PERIODS:
        raise ValueError(f"periode={period[:40]}")
    if period == "dates":
        du, au = (_day(name, given.get(name, "")) for name in ("du", "au"))
        if du is not None and au is not None and du > au:
            raise ValueError(f"du={du} > au={au}")
        return du, au
    if period == "month":
        return today.replace(day=1), today
    length = PERIODS[period]
    return (None, None) if length is None else (today - timedelta(days=length - 1), today)


def _day(name: str, text: str) -> date | None:
    try:
        return parse_day(text) if text else None
    except ValueError:
        raise ValueError(f"{name}={text[:40]}") from None


def _client(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    try:
        return parse_identity(text)
    except ValueError:
        raise ValueError(f"client={text[:40]}") from None


def _name(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(f"{text[:40]}…")
    return text
