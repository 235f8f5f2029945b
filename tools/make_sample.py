"""Draw a small stand-in for the BCCD blood-smear dataset, in the same Pascal VOC form.

Every pixel is drawn, none is photographed: the fields let the code run where BCCD cannot be
downloaded, and say nothing about accuracy on real smears. Same options, same bytes.
Usage: python tools/make_sample.py --output data/sample --fields 40 --seed 7
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple, get_type_hints

import cv2
import numpy as np
from numpy.random import Generator

WIDTH, HEIGHT, MARGIN = 640, 480, 320  # px; what the border cuts is drawn whole, in the margin
# Light absorbed at a density of 1, in blue, green and red, by pink stain, violet stain and dust.
ABSORBANCE = np.array([[0.27, 0.32, 0.13], [0.02, 0.86, 0.46], [0.5, 0.5, 0.45]])
# White cells by the lobes of the nucleus: size of a lobe and its distance from the centre, as
# shares of the cell's radius, then densities in the cytoplasm: pink, violet, pink grains.
WHITE_CELLS = {
    1: (0.94, 0.06, 0.05, 0.42, 0.05),  # lymphocyte
    2: (0.40, 0.42, 0.40, 0.24, 0.90),  # eosinophil
    3: (0.29, 0.46, 0.18, 0.20, 0.25),  # neutrophil
}
OWN = ("Main",)  # the folders of a sample that hold other files than drawn_*
FILE = """<annotation><folder>JPEGImages</folder><filename>{}.jpg</filename>
<source><database>drawn by data/make_sample.py</database></source>
<size><width>640</width><height>480</height><depth>3</depth></size><segmented>0</segmented>
{}</annotation>
"""
OBJECT = """<object><name>{}</name><truncated>{}</truncated><difficult>0</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """Each field is a command-line option, and its annotation the help text."""

    output: Annotated[Path, "folder to write or replace"] = (
        Path(__file__).resolve().parents[1] / "data" / "sample"
    )
    fields: Annotated[int, "how many fields to draw"] = 40
    seed: Annotated[int, "start of the random numbers"] = 7


class Spot(NamedTuple):
    """Where one cell lies: centre and radius in px of the frame."""

    label: str
    x: float
    y: float
    radius: float
    lobes: int = 0  # of the nucleus of a white cell


def is_clear(spot: Spot, others: list[Spot], closeness: float) -> bool:
    """Tell whether no other spot is nearer than `closeness` times the two radii together."""
    gaps = [np.hypot(spot.x - o.x, spot.y - o.y) / (spot.radius + o.radius) for o in others]
    return min(gaps, default=closeness) >= closeness


def place_cells(rng: Generator) -> list[Spot]:
    """Scatter white cells, single and stacked red cells and platelets around bare glass."""

    def scatter(label: str, radius: float, out: float) -> Spot:
        x, y = rng.uniform([-out, -out], [WIDTH + out, HEIGHT + out])
        return Spot(label, x, y, radius)

    # Bare places are kept first, for code that looks for cell-sized patches of background.
    bare = [scatter("bare", 72, -75) for _ in range(2)]
    whites: list[Spot] = []
    for _ in range(rng.choice([0, 1, 2], p=[0.1, 0.75, 0.15])):
        lobes = int(rng.choice(list(WHITE_CELLS), p=[0.3, 0.15, 0.55]))
        radius = rng.uniform(62, 80) if lobes == 1 else rng.uniform(82, 116)
        tries = [scatter("WBC", radius, -20)._replace(lobes=lobes) for _ in range(60)]
        whites += [spot for spot in tries if is_clear(spot, bare + whites, 1.0)][:1]
    reds: list[Spot] = []
    size, crowding, stacking = rng.uniform([45, 35, 0.05], [54, 150, 0.3])
    for _ in range(int(crowding)):
        spot, near = scatter("RBC", size * rng.normal(1, 0.07), 30), rng.uniform(0.78, 1.08)
        if reds and rng.random() < stacking:  # lean on an earlier cell, as coins in a roll do
            x, y = rng.normal(reds[len(reds) // 2][1:3], 0.9 * size).clip(-30, [670, 510])
            spot, near = spot._replace(x=x, y=y), 0.45
        if is_clear(spot, bare, 1) and is_clear(spot, whites, 0.85) and is_clear(spot, reds, near):
            reds.append(spot)
    tries = [scatter("Platelets", rng.uniform(14, 22), -5) for _ in range(200)]
    platelets = [spot for spot in tries if is_clear(spot, bare + whites + reds, 0.95)]
    return whites + reds + platelets[: rng.choice(5, p=[0.15, 0.35, 0.25, 0.15, 0.1])]


def draw_outline(rng: Generator, radius: float, wobble: float, half: int = 0) -> np.ndarray:
    """Give each px its distance from the centre as a share of an uneven outline's: [S, S]."""
    half = half or int(radius * 1.35) + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1] + rng.normal(0, radius * 0.04, (2, 1, 1))
    angles, waves = np.linspace(-np.pi, np.pi, 361), np.arange(2, 8)[:, None]
    # High waves are kept low: a cell membrane bends, it does not zigzag.
    height, phase = rng.normal(0, wobble / waves**1.6), rng.uniform(0, 2 * np.pi, waves.shape)
    edge = radius * (1 + (height * np.cos(waves * angles + phase)).sum(0))
    return (np.hypot(x, y) / np.interp(np.arctan2(y, x), angles, edge)).astype(np.float32)


def draw_grain(rng: Generator, size: int, sigma: float) -> np.ndarray:
    """Draw texture [size, size] of mean 0 and deviation 1, smooth over `sigma` px."""
    grain = rng.standard_normal((size, size), np.float32) * (2 * sigma * np.pi**0.5)
    return cv2.GaussianBlur(grain, (0, 0), sigma)


def draw_red_cell(rng: Generator, radius: float, pallor: float) -> np.ndarray:
    """Draw a biconcave disc, paler by `pallor` (0 to 1) in the middle: densities [S, S, 3]."""
    rho = draw_outline(rng, radius, 0.15)
    hollow = draw_outline(rng, radius * rng.uniform(0.45, 0.72), 0.25, half=len(rho) // 2)
    depth = pallor * rng.uniform(0.6, 1.1) * rng.choice([1.0, 0.1], p=[0.8, 0.2])
    body = 0.92 + 0.16 * np.interp(rho, [0.55, 0.9], [0, 1])
    body -= depth * np.interp(hollow, [rng.uniform(0.2, 0.75), 1.2], [1, 0])
    body *= rng.normal(1, 0.09) * (1 + 0.03 * draw_grain(rng, len(rho), 6))
    pink = np.maximum(body, 0.06) * np.interp(rho, [0.95, 1.03], [1, 0])
    halo = -0.07 * np.exp(-(((rho - 1.05) / 0.03) ** 2))  # light bent at the membrane
    return np.stack([pink, 0 * pink, halo], -1)


def draw_white_cell(rng: Generator, radius: float, lobes: int) -> np.ndarray:
    """Draw a granular cytoplasm around a lobed nucleus: densities [S, S, 3]."""
    rho = draw_outline(rng, radius, 0.12)
    y, x = np.mgrid[: len(rho), : len(rho)] - len(rho) // 2
    lobe, spread, pink, violet, granular = WHITE_CELLS[lobes]
    angle, nucleus = rng.uniform(0, 2 * np.pi), 0.07 * draw_grain(rng, len(rho), radius * 0.1)
    for _ in range(lobes):
        far, size = radius * rng.normal([spread, lobe], 0.025)
        away = np.hypot(x - far * np.cos(angle), y - far * np.sin(angle))
        nucleus += np.exp(-((away / size) ** 2))  # lobes that come near each other join
        angle += rng.uniform(0.85, 1.1) * 5.8 / (lobes + 1)
    nucleus = np.interp(nucleus, [0.44, 0.56], [0, 1]) * np.interp(rho, [0.9, 1.0], [1, 0])
    chromatin = 1 + 0.12 * draw_grain(rng, len(rho), 5) + 0.07 * draw_grain(rng, len(rho), 2)
    cytoplasm = np.interp(rho, [0.94, 1.03], [1, 0]) * (1 - nucleus)
    grains = np.interp(draw_grain(rng, len(rho), 1.8), [0.2, 1.1], [0, 1])
    cloud = 1 + 0.2 * draw_grain(rng, len(rho), 7) + 0.25 * grains
    pink = cytoplasm * (pink * cloud + granular * grains)
    violet = nucleus * chromatin + cytoplasm * violet * cloud
    return np.stack([pink, violet, 0 * pink], -1) * rng.normal(1, 0.08)


def draw_platelet(rng: Generator, radius: float) -> np.ndarray:
    """Draw a platelet, pale outside and granular within: densities [S, S, 3]."""
    rho = draw_outline(rng, radius, 0.3)
    body = np.interp(rho, [0.75, 1.05], [1, 0])
    grains = np.interp(draw_grain(rng, len(rho), 2), [-1.4, 1.4], [0, 1])
    violet = 0.18 * body + 0.5 * grains * np.interp(rho, [0.3, 0.85], [1, 0])
    return np.stack([0 * body, violet * rng.normal(1, 0.12), 0.1 * body], -1)


def draw_slide(rng: Generator, spots: list[Spot]) -> tuple[np.ndarray, np.ndarray]:
    """Lay the cells on glass: densities [H, W, 3], and corners [N, 4] not yet cut by the frame."""
    slide = np.zeros((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, 3), np.float32)
    corners = np.zeros((len(spots), 4), int)
    pallor = rng.uniform(0.4, 0.95)  # one blood, one preparation: alike over the field
    for index, spot in enumerate(spots):
        if spot.label == "RBC":
            layer = draw_red_cell(rng, spot.radius, pallor)
        elif spot.label == "WBC":
            layer = draw_white_cell(rng, spot.radius, spot.lobes)
        else:
            layer = draw_platelet(rng, spot.radius)
        left, top = int(spot.x) - len(layer) // 2, int(spot.y) - len(layer) // 2
        slide[top + MARGIN :, left + MARGIN :][: len(layer), : len(layer)] += layer
        x, y, width, height = cv2.boundingRect((layer.sum(-1) > 0.08).astype(np.uint8))
        corners[index] = left + x + 1, top + y + 1, left + x + width, top + y + height
    return slide[MARGIN:-MARGIN, MARGIN:-MARGIN], corners


def light_field(rng: Generator, density: np.ndarray) -> np.ndarray:
    """Shine light through the densities [H, W, 3] and photograph it: uint8 BGR [H, W, 3]."""
    dust = np.where(rng.random((HEIGHT, WIDTH)) < 1.5e-5, 15.0, 0.0)
    density[..., 2] += cv2.GaussianBlur(dust, (0, 0), rng.uniform(2, 4))  # far out of focus
    # Stacked cells flatten each other: they are darker than one, but never twice as dark.
    density[..., 0] = 2.2 * np.tanh(density[..., 0] / 2.2)
    stain = ABSORBANCE * np.exp(rng.normal(0, [[0.16], [0.12], [0.1]], (3, 3)))
    # The tails of t stand for other laboratories: a few fields are clearly warmer or bluer.
    light = [204, 209, 208] * np.exp(0.014 * rng.standard_t(3, 3).clip(-4, 4) + rng.normal(0, 0.03))
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    shade = 1 + np.tensordot(rng.normal(0, 0.025, 2), [x, y], 1) - 0.02 * (x * x + y * y)
    picture = np.exp(-density @ stain.astype(np.float32)) * (light * shade[..., None])
    picture = cv2.GaussianBlur(picture, (0, 0), np.clip(rng.lognormal(0.15, 0.5), 0.7, 3.2))
    noise = cv2.GaussianBlur(rng.standard_normal(picture.shape, np.float32), (0, 0), 0.6)
    return np.clip(picture + noise * rng.uniform(1.6, 5), 0, 255).round().astype(np.uint8)


def choose_boxes(rng: Generator, spots: list[Spot], corners: np.ndarray) -> list[tuple]:
    """Box what a hurried annotator would: (label, truncated, xmin, ymin, xmax, ymax), px from 1."""
    inside = np.clip(corners, 1, [WIDTH, HEIGHT] * 2)
    seen, full = ((c[:, 2:] - c[:, :2]).prod(1) for c in (inside, corners))
    crowd = [sum(not is_clear(spot, [other], 0.85) for other in spots) for spot in spots]
    doubt = np.array(crowd) + 5 * (1 - seen / full) + rng.uniform(0, 2.5, len(spots))
    red = np.array([spot.label == "RBC" for spot in spots])
    # As in BCCD many a red cell goes without a box, crowded and cut ones first.
    sure = np.where(red, doubt <= np.quantile(doubt[red], 0.56), rng.random(len(red)) < 0.95)
    kept = np.flatnonzero(sure & (seen > 0.3 * full))
    return [(spots[i].label, int(seen[i] < full[i]), *inside[i].tolist()) for i in kept]


def split_fields(labels: dict[str, set[str]]) -> dict[str, list[str]]:
    """Deal field names into splits, those with most labels first: each split shows all three."""
    names = sorted(labels, key=lambda name: (-len(labels[name]), name))
    test, rest = names[::5], [name for index, name in enumerate(names) if index % 5]
    val, train = rest[::6], [name for index, name in enumerate(rest) if index % 6]
    return {"train": train, "val": val, "trainval": rest, "test": test}


def write_sample(folder: Path, fields: int, seed: int) -> Path:
    """Draw all fields into a new folder, and give it back."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    labels = {}
    for index, rng in enumerate(np.random.default_rng(seed).spawn(fields)):
        name = f"drawn_{index:03d}"
        spots = place_cells(rng)
        density, corners = draw_slide(rng, spots)
        field = light_field(rng, density)
        picture = cv2.imencode(".jpg", field, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(picture.tobytes())
        boxes = choose_boxes(rng, spots, corners)
        text = FILE.format(name, "".join(OBJECT.format(*box) for box in boxes))
        (folder / "Annotations" / f"{name}.xml").write_text(text, newline="\n")
        labels[name] = {box[0] for box in boxes}
    for split, names in split_fields(labels).items():
        text = "\n".join([*sorted(names), ""])
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(text, newline="\n")
    return folder


def main(argv: list[str] | None = None) -> int:
    """Draw the sample; a run cut short leaves the sample that was there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, hint in get_type_hints(Options, include_extras=True).items():
        kind, text, default = hint.__origin__, hint.__metadata__[0], getattr(Options, name)
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    options = Options(**vars(parser.parse_args(argv)))
    options.output.mkdir(parents=True, exist_ok=True)
    files = [path for path in options.output.rglob("*") if path.is_file()]
    if any(not path.name.startswith("drawn_") and path.parent.name not in OWN for path in files):
        parser.error(f"{options.output} holds more than a drawn sample; it is left as it is")
    with tempfile.TemporaryDirectory(prefix=".sample-", dir=options.output.parent) as folder:
        new = write_sample(Path(folder, "new"), options.fields, options.seed)
        options.output.rename(Path(folder, "old"))
        new.rename(options.output)
    print(f"{options.fields} drawn fields in {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
