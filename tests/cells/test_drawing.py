"""Drawn cells: boxes in the colours of their labels, names where they can be read."""

from __future__ import annotations

import numpy as np
from drawing import LABELS

from hematovision.cells.cells import Cells
from hematovision.cells.drawing import choose_colours, draw_cells


def test_drawn_cells_are_boxed_in_the_colours_of_their_labels() -> None:
    image = np.full((200, 300, 3), 230, np.uint8)
    cells = Cells(np.array([[50, 60, 120, 130.0]]), np.array([1]), np.array([0.9]))
    drawn = draw_cells(image, cells, LABELS)
    assert drawn.shape[1] == 1200 and drawn.shape[0] > 800
    assert tuple(drawn[400, 200]) == choose_colours(LABELS)["RBC"]
    assert (image == 230).all()
