"""The network for fields: any size of picture, an answer for every quarter of it."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.training.backbone import build_bare, start_tensorflow
from hematovision.training.fields.network import FIRST_BLOCK, build_field_network, make_run


@pytest.mark.parametrize("norms", [True, False])
def test_it_answers_for_every_quarter_of_a_picture_of_any_size(norms: bool) -> None:
    start_tensorflow(0)
    network = build_field_network(build_bare((None, None, 3)), 2, norms)
    run = make_run(network)
    for height, width in ((64, 96), (128, 64)):
        heat, reach = run(np.zeros((height, width, 3), np.uint8))
        assert heat.shape == (height // 4, width // 4, 2)
        assert reach.shape == (height // 4, width // 4, 4)
        assert (heat > 0).all() and (heat < 0.5).all() and (reach > 0).all()
    names = {w.path.split("/")[-2] for w in network.trainable_variables}
    assert not any(f"block_{k}_" in name for k in range(1, FIRST_BLOCK) for name in names)
    assert any(f"block_{FIRST_BLOCK}_" in name for name in names)
