"""The preview: crops of each label, picked at random -> a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hematovision.pictures.images import write_drawing
from hematovision.preparing.writing import Crops


def draw_preview(path: Path, splits: Sequence[Crops], seed: int) -> None:
    """Write a contact sheet: for each label a row of up to 16 crops picked at random."""
    rng = np.random.default_rng(seed)
    flat = [(field, s) for crops in splits for field, of in crops.chosen for s in of]
    labels, size = np.array([s.label for _, s in flat], str), splits[0].size
    rows = []
    for label in sorted(set(labels.tolist())):
        of_label = np.flatnonzero(labels == label)
        picks = np.sort(rng.permutation(of_label)[:16])
        sheet = np.full((size, 16, size, 3), 255, np.uint8)
        for i, k in enumerate(picks):
            field, segment = flat[k]
            sheet[:, i] = Crops([(field, [segment])], size).cut(0)[0]
        title = np.full((28, 16 * size, 3), 255, np.uint8)
        text = f"{label}: {len(picks)} of {len(of_label)}"
        cv2.putText(title, text, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, sheet.reshape(size, -1, 3)]
    write_drawing(path, np.vstack(rows))
