"""Which of several attributes, or columns, holds the label: one is plain, or it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hematovision.cells.labels import find_name
from hematovision.program.console import UserError

# As tools and sets call it, the likeliest first.
LABEL_KEYS = ("class", "label", "cell_type", "celltype", "class_name", "classname", "labelname",
              "category", "category_name", "name", "type", "cell", "kind")  # fmt: skip


def choose_label_key(path: Path, values: Mapping[str, Iterable[str]]) -> str:
    """The key, by what each key's values are: the only one that has any, that which names kinds of
    cells, else the first that is called as labels are; "" where none has values.

    Raises UserError where none is plain.
    """
    filled = {key: {v for v in of if v} for key, of in values.items()}
    filled = {key: of for key, of in filled.items() if of}
    if len(filled) < 2:
        return next(iter(filled), "")
    known = [
        k for k, of in filled.items() if 2 * sum(find_name(v) is not None for v in of) > len(of)
    ]
    if len(known) == 1:
        return known[0]
    called = [k for name in LABEL_KEYS for k in known or filled if k.casefold() == name]
    if not called:
        raise UserError(
            f"{path}: which of {', '.join(sorted(filled)[:6])} holds the kind of cell? "
            'none does plainly; call that one "label"'
        )
    return called[0]
