"""An answer to a field, as tests want one."""

from __future__ import annotations

from hematovision.answering.field_answer import FieldAnswer, FoundCell, Overlap, count_labels
from hematovision.networks.differential import Typed, count_types

CELLS = (
    FoundCell("RBC", 0.9, (0, 4, 30, 40), True, cut=True),
    FoundCell("RBC", 0.8, (40, 4, 70, 40), False, seen=True),
    FoundCell("WBC", 0.7, (80, 4, 190, 140), True, False, Typed("Neutrophil", {"Neutrophil": 0.6})),
    FoundCell("WBC", 0.7, (80, 4, 190, 140), True, False, Typed(None, {"Neutrophil": 0.1})),
)
ANSWER = FieldAnswer(
    "a.jpg", 200, 150, count_labels(CELLS, ["Platelets", "RBC", "WBC"]), CELLS,
    count_types(["Neutrophil", None], ["Erythroblast", "Neutrophil"]), ("most cells are doubtful",),
    (Overlap("b.jpg", 0.25, (-100, 3)),),
)  # fmt: skip
