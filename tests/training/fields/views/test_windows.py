"""Windows of training fields: boxes follow the picture."""

from __future__ import annotations

import numpy as np
from drawing import COLOURS, GROUND_COLOUR, make_training_field

from hematovision.pictures.light import GROUND
from hematovision.training.fields.views.windows import cut_window, flip


def test_boxes_of_a_window_follow_the_picture() -> None:
    source = make_training_field()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        view, zoom = cut_window(source, (192, 256), (0.5, 0.8), rng)
        view = flip(view, rng)
        assert view.image.shape == (192, 256, 3)
        assert view.unsure.shape == (48, 64)
        assert 0.4 < zoom < 2.5
        for (x0, y0, x1, y1), k in zip(view.box.astype(int), view.label, strict=True):
            middle = view.image[(y0 + y1) // 2, (x0 + x1) // 2].astype(int)
            distance = {n: np.abs(middle - c).sum() for n, c in COLOURS.items()}
            distance["ground"] = np.abs(middle - round(255 * GROUND)).sum()
            if min(x1 - x0, y1 - y0) > 25:
                assert min(distance, key=distance.get) != "ground", (k, middle, GROUND_COLOUR)
