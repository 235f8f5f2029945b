"""QuPath's GeoJSON: classes of classes, parts of parts, dots and lines told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotated import FEATURES, feature, read_one, ring

from hematovision.annotations.annotation import DOT
from hematovision.annotations.formats.geojson import LINE, is_geojson, name_class

BOX = (10, 20, 50, 60)


def test_shapes_that_are_no_boxes_are_told_and_tiles_passed_over(tmp_path: Path) -> None:
    several = {"type": "MultiPolygon", "coordinates": [ring(BOX)["coordinates"]] * 2}
    features = [
        feature("RBC", {"type": "Point", "coordinates": [1, 2]}),
        feature("RBC", {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}),
        feature("RBC", {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}),
        feature("RBC", ring(BOX), objectType="tile"),
        feature("RBC", several),
    ]
    found = read_one(tmp_path, ".geojson", json.dumps(features).encode())
    assert found.left_out == [DOT, DOT, LINE]
    assert found.boxes == [("RBC", BOX)]


@pytest.mark.parametrize(
    "properties, name",
    [
        ({"classification": {"name": "RBC", "color": [1, 2, 3]}}, "RBC"),
        ({"classification": {"names": ["Cell", "WBC"]}}, "WBC"),
        ({"classification": "RBC"}, "RBC"),
        ({"name": "RBC"}, "RBC"),
        ({}, ""),
    ],
)
def test_the_class_of_an_object(properties: dict, name: str) -> None:
    assert name_class(properties) == name


def test_what_is_one() -> None:
    assert is_geojson(FEATURES) and is_geojson(FEATURES[0])
    assert is_geojson({"type": "FeatureCollection", "features": []})
    for other in ([], [1], {}, {"features": [1]}, {"type": "Topology"}):
        assert not is_geojson(other)
