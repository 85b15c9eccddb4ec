"""Questions on chemical symbols, from mendeleev.

Knows the elements' Chinese names, which mendeleev lacks: each is one character, fixed by the China
National Committee for Terminology in Science and Technology. Caller: `facts`.
"""

from __future__ import annotations

from collections.abc import Iterator

from mendeleev.fetch import fetch_table

from halluc_ray.corpora.questions import Left, Question, fair, unique

RELATION = "chemical_symbol"
CHINESE_NAMES = (
    "氢氦锂铍硼碳氮氧氟氖钠镁铝硅磷硫氯氩钾钙钪钛钒铬锰铁钴镍铜锌镓锗砷硒溴氪铷锶钇锆铌钼锝钌铑钯银镉铟锡锑碲碘氙铯钡"
    "镧铈镨钕钷钐铕钆铽镝钬铒铥镱镥铪钽钨铼锇铱铂金汞铊铅铋钋砹氡钫镭锕钍镤铀镎钚镅锔锫锎锿镄钔锘铹"
    "𬬻𬭊𬭳𬭛𬭶鿏𫟼𬬭鿔鿭𫓧镆𫟷鿬鿫"
)
_OTHER_SPELLINGS = {
    "Al": ("Aluminium", "Aluminum"),
    "Cs": ("Caesium", "Cesium"),
    "S": ("Sulfur", "Sulphur"),
    "W": ("Wolfram",),
}
_CHINESE_AMBIGUOUS = {"Au": "金"}  # the character is also half of the word for metal


def element_questions() -> Iterator[Question | Left]:
    """Which element has this symbol? By atomic number, English then Chinese for each."""
    table = fetch_table("elements").sort_values("atomic_number")
    for number, symbol, name in zip(table["atomic_number"], table["symbol"], table["name"], strict=True):
        spellings = unique([name, *_OTHER_SPELLINGS.get(symbol, ())])
        text = f"Which chemical element has the symbol {symbol}?"
        yield fair(Question("en", RELATION, symbol, symbol, text, spellings))
        if symbol in _CHINESE_AMBIGUOUS:
            yield Left("zh", RELATION, symbol, "ambiguous_answer")
        else:
            text = f"化学符号{symbol}代表哪种元素？"
            yield fair(Question("zh", RELATION, symbol, symbol, text, (CHINESE_NAMES[number - 1],)))
