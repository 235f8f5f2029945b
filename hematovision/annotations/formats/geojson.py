"""QuPath's GeoJSON: one file a picture, a feature a cell, in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import DOT, Annotation, Point, bounds, number

AROUND = ("tile", "tma_core", "root")  # of QuPath's objects, those that aren't cells
LINE = "line, not a box"
DEEPEST = 4  # lists in lists, of a MultiPolygon


def list_features(content: Any) -> list[Any]:
    """The features of a collection, of a list, or the one that stands alone."""
    if isinstance(content, dict):
        if content.get("type") == "Feature":
            return [content]
        content = content.get("features")
    return content if isinstance(content, list) else []


def is_geojson(content: Any) -> bool:
    features = list_features(content)
    collection = isinstance(content, dict) and content.get("type") == "FeatureCollection"
    return all(isinstance(f, dict) and f.get("type") == "Feature" for f in features) and (
        bool(features) or (collection and isinstance(content.get("features"), list))
    )


def read_geojson(path: Path, content: Any) -> Iterator[Annotation]:
    found = Annotation(path, "")
    for feature in list_features(content):
        shape, properties = feature.get("geometry") or {}, feature.get("properties") or {}
        if properties.get("objectType") in AROUND:
            continue
        kind = str(shape.get("type"))
        if kind in ("Point", "MultiPoint"):
            found.left_out.append(DOT)
        elif "Line" in kind:
            found.left_out.append(LINE)
        else:
            found.add(name_class(properties), bounds(flatten(shape.get("coordinates"))))
    yield found


def name_class(properties: dict[str, Any]) -> str:
    """The class that QuPath gave an object, the innermost where it is a class of classes."""
    given = properties.get("classification")
    if isinstance(given, dict):
        names = given.get("names")
        given = names[-1] if isinstance(names, list) and names else given.get("name")
    return str(given or properties.get("label") or properties.get("name") or "")


def flatten(coordinates: Any, depth: int = DEEPEST) -> list[Point]:
    """The points of rings in rings."""
    if not isinstance(coordinates, list) or not coordinates or depth == 0:
        return []
    if not isinstance(coordinates[0], list):
        return [(number(coordinates[0]), number(coordinates[1]))]
    return [p for part in coordinates for p in flatten(part, depth - 1)]
