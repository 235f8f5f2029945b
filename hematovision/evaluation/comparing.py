"""What a report says of a second model beside the first, on the same crops."""

from __future__ import annotations

from typing import Any

import numpy as np

from hematovision.evaluation.measure import Answers, Sample
from hematovision.evaluation.scores import (
    HEADLINE,
    Bootstrap,
    find_intervals,
    mcnemar,
    score_weighted,
)


def compare(
    y: np.ndarray, first: Answers, second: Answers, source: np.ndarray, bootstrap: Bootstrap
) -> dict[str, Any]:
    """The second model's headline figures, and by how much they are above the first's, paired.

    `mcnemar`: exact two-sided test of the crops that only one of the two has right (McNemar, 1947).
    """

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        one, two = (score_weighted(y, m.proba, m.predicted, weights) for m in (first, second))
        return two | {f"{name} above": two[name] - one[name] for name in HEADLINE}

    found, draws, _ = Sample.draw(statistics, source, bootstrap)
    k = first.proba.shape[1]
    right = first.predicted == y, second.predicted == y
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return {
        **{name: found[name] for name in HEADLINE},
        "ci95": find_intervals(draws, y, source, k),
        "difference": {name: found[f"{name} above"] for name in HEADLINE},
        "difference_ci95": find_intervals(draws, y, source, k, " above"),
        "mcnemar": {
            "only_first_right": only[0],
            "only_second_right": only[1],
            "p": mcnemar(*only),
        },
    }
