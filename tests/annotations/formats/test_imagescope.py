"""ImageScope's XML is told by its name, and by a way on."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from annotated import CVAT

from hematovision.annotations.formats.imagescope import is_imagescope, refuse_imagescope
from hematovision.program.console import UserError


def test_it_is_told_from_cvat() -> None:
    layer = '<Annotation Id="1"><Regions/></Annotation>'
    text = f'<Annotations MicronsPerPixel="0.25">{layer}</Annotations>'
    root = ElementTree.fromstring(text)
    assert is_imagescope(root) and not is_imagescope(ElementTree.fromstring(CVAT))
    with pytest.raises(UserError, match=r"a\.xml.*ImageScope.*QuPath"):
        refuse_imagescope(Path("a.xml"), root)
