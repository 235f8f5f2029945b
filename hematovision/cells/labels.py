"""Labels: however an annotator spelt a kind of cell, one name for it.

"Red Blood Cell", "rbc", "RBCs" and "Erythrocyte" all become "RBC". What the tables don't know keeps
the spelling that is most frequent. The table is data; what is a kind of what says `taxonomy`.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping

from hematovision.cells.taxonomy import is_a
from hematovision.program.console import UserError

MINUS = "-\u2010\u2011\u2012\u2013\u2212"
LONGEST_LABEL = 100  # characters; archives hold labels in text of fixed width

# One name for each kind of cell, and what else it is called. Case, spaces, punctuation and an
# English plural make no difference. Bands and metamyelocytes follow the differential count:
# CAP counts bands as neutrophils, and what is younger as immature granulocytes.
NAMES: dict[str, str] = {
    "RBC": "red blood cell, red blood corpuscle, red cell, erythrocyte, normocyte, discocyte, "
    "erythrozyt, erythrozyten, rote blutkörperchen, érythrocyte, globule rouge, globules rouges, "
    "hématie, eritrocito, glóbulo rojo, glóbulos rojos, hematíe, eritrócito, hemácia, glóbulo "
    "vermelho, eritrocita, globulo rosso, globuli rossi, эритроцит, эритроциты, 红细胞, 紅細胞, "
    "赤血球, 적혈구",
    "WBC": "white blood cell, white blood corpuscle, white cell, leukocyte, leucocyte, leukozyt, "
    "leukozyten, weiße blutkörperchen, globule blanc, globules blancs, leucocito, glóbulo blanco, "
    "glóbulos blancos, leucócito, glóbulo branco, globulo bianco, globuli bianchi, лейкоцит, "
    "лейкоциты, 白细胞, 白血球, 백혈구",
    "Platelets": "platelet, plt, blood platelet, thrombocyte, thrombozyt, thrombozyten, "
    "blutplättchen, plaquette, plaqueta, piastrina, piastrine, trombocito, тромбоцит, тромбоциты, "
    "血小板, 혈소판",
    "Neutrophil": "neut, neutrophile, segmented neutrophil, neutrophil segmented, seg neutrophil, "
    "neutrophil seg, neutrophilic granulocyte, neutrophil granulocyte, segmented, sne, "
    "polymorphonuclear neutrophil, polymorphonuclear leukocyte, pmn, band neutrophil, "
    "neutrophil band, banded neutrophil, bne, stab neutrophil, neutrófilo, neutrofilo, 中性粒细胞",
    "Lymphocyte": "lym, lymph, lympho, small lymphocyte, large lymphocyte, lymphozyt, lymphozyten, "
    "linfocito, linfócito, 淋巴细胞",
    "Monocyte": "mon, mono, monozyt, monozyten, monocito, monócito, 单核细胞",
    "Eosinophil": "eos, eosino, eosinophile, eosinophilic granulocyte, eosinophil granulocyte, "
    "eosinófilo, eosinofilo, 嗜酸性粒细胞",
    "Basophil": "bas, baso, basophile, basophilic granulocyte, basophil granulocyte, basófilo, "
    "basofilo, 嗜碱性粒细胞",
    "Immature granulocyte": "ig, immature granulocyte cell, promyelocyte, myelocyte, "
    "metamyelocyte, pmy, mmy",
    "Immature white cell": "immature white blood cell, immature wbc, immature leukocyte, "
    "immature leucocyte",
    "Blast": "blast cell, leukemic blast, leukaemic blast, leukemia blast, leukaemia blast, "
    "myeloblast, lymphoblast, monoblast, blaste, blasto, бласт, 原始细胞",
    "Erythroblast": "normoblast, erb, nrbc, nucleated red blood cell, nucleated rbc, "
    "nucleated red cell, nucleated erythrocyte",
    "Sickle cell": "sickle, sickled, sickled cell, crescent cell, drepanocyte, sichelzelle, "
    "sichelzellen, drépanocyte, drepanocito, célula falciforme, drepanócito, falce, cellula "
    "falciforme, серповидная клетка, серповидный эритроцит, дрепаноцит, 镰状细胞, 镰刀形红细胞, "
    "镰形红细胞, 鎌状赤血球, 겸상적혈구",
    "Target cell": "target, codocyte, schießscheibenzelle, targetzelle, targetzellen, kodozyt, "
    "kodozyten, cellule cible, codocito, célula diana, dianocito, célula em alvo, codócito, "
    "cellula a bersaglio, мишеневидная клетка, мишеневидный эритроцит, кодоцит, 靶形红细胞, "
    "靶形细胞, 標的赤血球, 표적적혈구",
    "Elliptocyte": "elliptozyt, elliptozyten, eliptocito, eliptócito, ellissocita, эллиптоцит, "
    "эллиптоциты, 椭圆形红细胞, 楕円赤血球, 타원적혈구",
    "Ovalocyte": "oval cell, ovalozyt, ovalozyten, ovalocito, ovalócito, овалоцит, овалоциты, "
    "卵圆形红细胞, 卵円赤血球",
    "Burr cell": "burr, echinocyte, crenated cell, crenated, stechapfelzelle, stechapfelzellen, "
    "echinozyt, echinozyten, échinocyte, equinocito, equinócito, echinocita, эхиноцит, эхиноциты, "
    "锯齿形红细胞, 皱缩红细胞, ウニ状赤血球",
    "Acanthocyte": "spur cell, akanthozyt, akanthozyten, acantocito, acantócito, acantocita, "
    "акантоцит, акантоциты, 棘形红细胞, 有棘赤血球",
    "Teardrop cell": "teardrop, tear drop, dacrocyte, dacryocyte, dakryozyt, dakryozyten, "
    "tränentropfenzelle, cellule en larme, dacriocito, célula en lágrima, dacriócito, дакриоцит, "
    "каплевидная клетка, 泪滴形红细胞, 涙滴赤血球, 눈물방울적혈구",
    "Spherocyte": "microspherocyte, kugelzelle, kugelzellen, sphärozyt, sphärozyten, sphérocyte, "
    "esferocito, esferócito, sferocita, сфероцит, сфероциты, 球形红细胞, 球状赤血球, 구상적혈구",
    "Stomatocyte": "stomatozyt, stomatozyten, estomatocito, estomatócito, stomatocita, стоматоцит, "
    "стоматоциты, 口形红细胞, 有口赤血球",
    "Schistocyte": "schizocyte, helmet cell, fragmented red cell, red cell fragment, fragmented "
    "rbc, rbc fragment, fragmentozyt, fragmentozyten, schistozyt, schistozyten, esquistocito, "
    "esquizócito, esquistócito, schistocita, шистоцит, шизоцит, 裂红细胞, 破碎红细胞, 破砕赤血球",
    "Reticulocyte": "retic, retikulozyt, retikulozyten, réticulocyte, reticulocito, reticulócito, "
    "reticolocita, ретикулоцит, ретикулоциты, 网织红细胞, 網織紅細胞, 網状赤血球, 망상적혈구",
    "Polychromatic cell": "polychromatocyte, polychromatic erythrocyte, polychromasia, "
    "polychromatophilic erythrocyte",
    "Macrocyte": "makrozyt, makrozyten, macrocito, macrócito, макроцит, макроциты, 大红细胞, "
    "大赤血球",
    "Microcyte": "mikrozyt, mikrozyten, microcito, micrócito, микроцит, микроциты, 小红细胞, "
    "小赤血球",
    "Hypochromic cell": "hypochromic erythrocyte, hypochromia, leptocyte, anulocyte, anulozyt",
    "Bite cell": "degmacyte, blister cell",
    "Knizocyte": "pincered cell, knizozyt",
    "Infected red cell": "infected rbc, parasitized rbc, parasitized red cell, infected "
    "erythrocyte, parasitized erythrocyte, parasitised rbc, infected red blood cell, parasitized "
    "red blood cell",
    "Background": "",
}


def letters_of(label: str) -> str:
    """What of a label tells kinds apart: its letters and digits, without case, accent or plural.

    And what stands for something: + and /, a minus at a word's end (CD34-), a break between digits.
    """
    text = unicodedata.normalize("NFKD", label).casefold()
    kept: list[str] = []
    for i, c in enumerate(text):
        # Accents go, the vowel signs of other scripts stay.
        accent = unicodedata.combining(c) and "\u0300" <= c <= "\u036f"
        last, after = "".join(kept[-1:]), text[i + 1 : i + 2]
        sign = c in MINUS and last.isalnum() and not after.isalnum()
        if c.isalnum() or c in "+/" or (unicodedata.combining(c) and not accent):
            kept.append(c)
        elif sign or (not accent and last.isdigit() and after.isdigit()):
            kept.append("-")
    key = "".join(kept)
    return (key[:-1] if len(key) > 3 and key.endswith("s") else key) or label


KNOWN = {
    letters_of(way): name
    for name, ways in NAMES.items()
    for way in (name, *(w for w in ways.split(", ") if w))
}
# What may stand before or after a kind's name and says nothing more: "sickle RBC".
GENERIC = ("redbloodcell", "redcell", "erythrocyte", "rbc", "whitebloodcell", "wbc", "cell")


def clean_label(text: str) -> str:
    """A label as it can be shown: no control character or direction mark, single spaces."""
    kept = (" " if c.isspace() else c for c in text if c.isspace() or c.isprintable())
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


@functools.lru_cache(4096)
def find_name(label: str) -> str | None:
    """The one name of a kind of cell that the table knows, else None."""
    key = letters_of(label)
    bare = [key.removesuffix(word) for word in GENERIC if key.endswith(word)]
    bare += [key.removeprefix(word) for word in GENERIC if key.startswith(word)]
    return next((KNOWN[k] for k in (key, *bare) if k in KNOWN), None)


@functools.lru_cache(4096)  # asked of each box
def is_rbc(label: str) -> bool:
    """Whether a label says red cell, of whatever kind."""
    return is_a(find_name(label) or label, "RBC")


def tell_counts(counts: Mapping[str, int], most: int = 20) -> str:
    """Labels and how often each occurs, the most frequent first: "RBC (12), WBC (3)"."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{label} ({n})" for label, n in ranked[:most])
    return text + (f", and {len(ranked) - most} more" if len(ranked) > most else "") or "none"


def parse_renames(text: str | None) -> dict[str, str]:
    """``"0=RBC,debris="`` as {"0": "RBC", "debris": ""}; an empty name drops the label.

    Raises UserError where a part is no OLD=NEW.
    """
    renames: dict[str, str] = {}
    for part in (text or "").split(","):
        old, equals, new = (clean_label(p) for p in part.partition("="))
        if not part.strip():
            continue
        if not equals or not old or len(new) > LONGEST_LABEL:
            raise UserError(f'--labels {part.strip()!r}: not OLD=NEW; try "0=RBC,1=WBC,debris="')
        renames[old] = new
    return renames


def unify_labels(counts: Mapping[str, int], renames: Mapping[str, str]) -> dict[str, str | None]:
    """The one name of each label annotated, by how often each occurs; None: dropped.

    `renames` come first, by the exact label, else by what is the same but for case, spaces and
    plural. Raises UserError where one names no label that is there, or where class numbers are
    left without a name.
    """
    named: dict[str, str] = {}
    exact = {old: new for old, new in renames.items() if old in counts}
    alike = {letters_of(old): new for old, new in renames.items() if old not in counts}
    absent = [
        old
        for old in renames
        if old not in counts and letters_of(old) not in map(letters_of, counts)
    ]
    if absent:
        raise UserError(
            f"--labels {absent[0]}=...: no box is labelled {absent[0]}; "
            f"labels found: {tell_counts(counts)}"
        )
    for label in counts:
        new = exact.get(label, alike.get(letters_of(label), label) if label not in exact else label)
        named[label] = new
    numbers = sorted(n for n in named.values() if n and n.replace(".", "", 1).isdecimal())
    if numbers:
        ask = ",".join(f"{n}=NAME" for n in dict.fromkeys(numbers[:4]))
        raise UserError(
            f"labels are class numbers without names: {tell_counts(counts)}; "
            f'say what they are with --labels "{ask}", or add classes.txt or data.yaml'
        )
    weight: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label, name in named.items():
        weight[letters_of(name)][name] += counts[label]
    for ways in weight.values():  # where equally frequent, the first by name
        ways.update(dict.fromkeys(sorted(ways), 0))
    best = {key: min(ways, key=lambda w: (-ways[w], w)) for key, ways in weight.items()}
    return {
        label: (find_name(name) or best[letters_of(name)]) if name else None
        for label, name in named.items()
    }


def tell_merges(unified: Mapping[str, str | None], counts: Mapping[str, int]) -> list[str]:
    """One line for each name that was spelt otherwise: what was taken for it, and how often."""
    spelt: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for label, name in unified.items():
        if name is not None and name != label:
            spelt[name][label] = counts[label]
    return [f"label {name}: also spelt {tell_counts(ways)}" for name, ways in sorted(spelt.items())]
