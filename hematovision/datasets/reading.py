"""Reading: a dataset's pictures decoded, their boxes placed, their ground found -> fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from hematovision.datasets.completeness import measure_unboxed
from hematovision.datasets.dataset import Dataset, Noted
from hematovision.datasets.field import Field, Mask, digest_bytes
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.ground import find_free_area, measure_red_side
from hematovision.datasets.placing import place_boxes
from hematovision.datasets.read_index import ReadIndex
from hematovision.pictures.images import read_image
from hematovision.pictures.orientation import settle_frame
from hematovision.pictures.twins import look
from hematovision.program.console import UserError, progress, run_ahead, say
from hematovision.program.files import read_file


def read_fields(dataset: Dataset, workers: int, index: ReadIndex | None = None) -> list[Field]:
    """Read every annotated field of a dataset; what is left out goes to its findings.

    With an `index` only those that it doesn't know. Raises UserError where no usable box remains.
    """
    findings = dataset.findings
    annotations = (note.annotation for note in dataset.notes)
    cell_px = measure_red_side(box for a in annotations if not a.normalised for box in a.boxes)
    fields = []
    for field, found in read_all(dataset, cell_px, workers, index):
        findings.merge(found)
        if field is not None:
            fields.append(field.keep(dataset.store))
    if not any(field.segments for field in fields):
        raise dataset.refuse_empty()
    dataset.forget()
    names = Counter(field.name for field in fields)
    return [
        replace(field, name=field.path.relative_to(dataset.root).as_posix())
        if names[field.name] > 1
        else field
        for field in fields
    ]


def read_all(
    dataset: Dataset, cell_px: float, workers: int, index: ReadIndex | None
) -> Iterator[tuple[Field | None, Findings]]:
    """What `read_field` gives of each picture, in order, read in threads."""
    if index is not None:
        yield from index.read(dataset, cell_px, lambda n: read_field(dataset, n, cell_px), workers)
        return
    with ThreadPoolExecutor(workers) as pool:
        read = run_ahead(
            pool, lambda n: read_field(dataset, n, cell_px), dataset.notes, 2 * workers
        )
        yield from progress(read, len(dataset.notes), "reading fields")


def read_field(dataset: Dataset, note: Noted, cell_px: float) -> tuple[Field | None, Findings]:
    """One field, or None where it can't be used, and what was found in it.

    `cell_px`: side of a typical red cell of the dataset in pixels.
    """
    path, annotation = dataset.layout.path(note.picture), note.annotation
    example = Example(annotation.path.name, path)
    found = Findings(dataset.findings.keep)
    try:
        stored = data = read_file(path, "picture")
        if annotation.size:
            data = settle_frame(data, *annotation.size)
        image = read_image(path, data)
    except UserError as error:
        say(f"warning: {error}")
        found.add("left out", "unreadable image", Example(path.name))
        return None, found
    try:
        placed = place_boxes(annotation, image, example, dataset.findings.keep)
    except UserError as error:
        say(f"warning: {error}")
        found.add("left out", "field of another size than its <size>", example)
        return None, found
    segments = placed.segments
    if placed.scaled:  # then the dataset's typical cell isn't this picture's
        cell_px = measure_red_side(segments)
    free = find_free_area(image, segments, cell_px)
    return Field(
        path,
        segments,
        Mask.pack(free),
        name=path.name,
        lab=dataset.lab,
        size=len(data),
        frame=annotation.size,
        digest=digest_bytes(stored),
        look=look(image),
        unboxed=0.0 if note.whole else measure_unboxed(image, free, segments, cell_px),
        whole=note.whole,
        given=note.split,
        listed=dataset.listed.get(note.picture, ""),
        gone_through=note.gone_through,
    ), placed.findings
