"""Why an answer: the parts of a crop that spoke for it, by occlusion, and their picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from hematovision.program.figures import BLUE, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FULL_COLOUR = 2.0  # of a heat map: the odds fall a hundredfold


class Answering(Protocol):
    """What gives probabilities (n, k), and novelty (n,), of crops (n, size, size, 3)."""

    def predict_proba(self, crops: np.ndarray, workers: int) -> tuple[np.ndarray, np.ndarray]: ...


def occlude(
    classifier: Answering, crop: np.ndarray, answer: int, workers: int = 1
) -> tuple[np.ndarray, float]:
    """How far the odds of the class `answer` fall (log10) where a uint8 crop is covered: (size,
    size), and its lowest probability under any cover.

    Occlusion sensitivity (Zeiler and Fergus, 2014): a patch of the crop's mean colour and a quarter
    of its side is moved across; a pixel gets the mean of the patches over it. It needs no gradients
    and so explains the very model that predict.py runs. Odds, because probabilities saturate:
    between 0.9999 and 0.99 lies a hundredfold.
    """
    size = len(crop)
    patch, step = size // 4, max(1, size // 12)
    corners = range(-patch // 2, size, step)
    areas = [np.s_[max(y, 0) : y + patch, max(x, 0) : x + patch] for y in corners for x in corners]
    views = np.repeat(crop[np.newaxis], len(areas) + 1, axis=0)
    for view, area in zip(views[1:], areas, strict=True):
        view[area] = crop.mean(axis=(0, 1)).astype(np.uint8)
    proba = classifier.predict_proba(views, workers)[0].astype(float)
    others = np.delete(proba, answer, axis=1).sum(axis=1)  # exacter than 1 - p where p is nearly 1
    odds = np.log10(np.maximum(proba[:, answer], 1e-9) / np.maximum(others, 1e-9))
    fall, times = np.zeros((2, size, size))
    for area, covered in zip(areas, odds[1:], strict=True):
        fall[area] += odds[0] - covered
        times[area] += 1
    smooth = cv2.GaussianBlur(fall / times, (0, 0), step / 2)  # the patches' edges mean nothing
    return smooth, float(proba[1:, answer].min())


def paint_heat(crop: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """The crop in grey; orange where covering it lowers the odds of the answer, blue where it
    raises them: uint8 (size, size, 3)."""
    from matplotlib.colors import to_rgb

    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    colour = np.where(fall[..., np.newaxis] > 0, to_rgb(ORANGE), to_rgb(BLUE)) * 255
    strength = 0.8 * np.minimum(np.abs(fall) / FULL_COLOUR, 1)[..., np.newaxis]
    return np.rint(grey * (1 - strength) + colour * strength).astype(np.uint8)


def plot_explanation(crop: np.ndarray, fall: np.ndarray, title: str) -> Figure:
    """A crop beside its heat map, with the scale of the colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    figure = new_figure(8, 4)
    panels = figure.subplots(1, 2)
    for axes, picture in zip(panels, (crop, paint_heat(crop, fall)), strict=True):
        axes.imshow(picture)
        axes.set_axis_off()
    colours = LinearSegmentedColormap.from_list("heat", [BLUE, "#BBBBBB", ORANGE])
    scale = ScalarMappable(Normalize(-FULL_COLOUR, FULL_COLOUR), colours)
    bar = figure.colorbar(scale, ax=panels, ticks=range(-2, 3), shrink=0.8)
    bar.ax.set_yticklabels(["rise 100 x", "rise 10 x", "stay", "fall 10 x", "fall 100 x"])
    bar.set_label("covered here, the odds")
    figure.suptitle(title, fontsize=13)
    return figure
