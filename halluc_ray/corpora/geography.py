"""Questions on countries, in English and Chinese.

Knows how each relation is asked and which answers would be ambiguous; not where the facts come from.
Caller: `facts`.
"""

from __future__ import annotations

from collections.abc import Iterator

from halluc_ray.corpora.countries import CAPITAL_DISPUTED, Country, Gazetteer
from halluc_ray.corpora.questions import Left, Question, fair, folded, holds

CONTINENTS = {
    "en": {
        "AF": ("Africa",),
        "AS": ("Asia",),
        "EU": ("Europe",),
        "NA": ("North America", "Central America"),
        "OC": ("Oceania", "Australasia"),
        "SA": ("South America",),
    },
    "zh": {
        "AF": ("非洲",),
        "AS": ("亚洲",),
        "EU": ("欧洲",),
        "NA": ("北美洲", "北美", "中美洲"),
        "OC": ("大洋洲",),
        "SA": ("南美洲", "南美"),
    },
}
_WORDING = {
    "en": {
        "capital": "What is the capital of {country}?",
        "country_of_capital": "Which country has {capital} as its capital?",
        "currency": "What is the currency of {country}?",
        "continent": "On which continent is {country}?",
    },
    "zh": {
        "capital": "{country}的首都是哪座城市？",
        "country_of_capital": "哪个国家的首都是{capital}？",
        "currency": "{country}使用什么货币？",
        "continent": "{country}位于哪个洲？",
    },
}
_ARTICLE_CODES = "AE BS CD CF CG DO GB GM KM MH MV NL PH SB SC US"
_WITH_ARTICLE = frozenset(_ARTICLE_CODES.split())


def country_questions() -> Iterator[Question | Left]:
    """Four relations for each country, in English and then in Chinese."""
    gazetteer = Gazetteer()
    for lang in ("en", "zh"):
        countries = gazetteer.countries(lang)
        inside = _names_inside_others(countries, lang=lang)
        for country in countries:
            yield from _capital(country, lang=lang, ambiguous=country.code in inside)
            yield _ask("currency", country, country.currencies, lang=lang)
            continents = tuple(name for code in country.continents for name in CONTINENTS[lang][code])
            yield _ask("continent", country, continents, lang=lang)


def _capital(country: Country, *, lang: str, ambiguous: bool) -> Iterator[Question | Left]:
    if country.code in CAPITAL_DISPUTED:
        yield Left(lang, "capital", country.code, "disputed")
        yield Left(lang, "country_of_capital", country.code, "disputed")
        return
    yield _ask("capital", country, country.capitals, lang=lang)
    if ambiguous:
        yield Left(lang, "country_of_capital", country.code, "ambiguous_answer")
    elif not country.capital:
        yield Left(lang, "country_of_capital", country.code, "no_answer_in_this_language")
    else:
        yield _ask("country_of_capital", country, country.names, lang=lang)


def _ask(relation: str, country: Country, answers: tuple[str, ...], *, lang: str) -> Question | Left:
    article = "the " if lang == "en" and country.code in _WITH_ARTICLE else ""
    text = _WORDING[lang][relation].format(country=article + country.name, capital=country.capital)
    subject = country.capital if relation == "country_of_capital" else country.name
    return fair(Question(lang, relation, country.code, subject, text, answers))


def _names_inside_others(countries: list[Country], *, lang: str) -> set[str]:
    """Codes whose name is part of another country's: "Guinea" would be found in "Equatorial Guinea"."""
    names = {country.code: [folded(name) for name in country.names] for country in countries}
    return {
        code
        for code, own in names.items()
        for other, theirs in names.items()
        if other != code and any(holds(whole, part, lang=lang) for part in own for whole in theirs)
    }
