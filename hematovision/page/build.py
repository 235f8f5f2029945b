"""Write hematovision.html: the model in one page that counts, opened from the disk.

    python3 -m hematovision.page.build               # the model trained here, else the bundled one
    python3 -m hematovision.page.build --model DIR --output mine.html

Everything goes into one file: the two networks, LiteRT.js to run them (litert/), what runs beside
the page and twins rooms of the package, whose constants it takes (engine/), and what a person sees
(ui/). What the page may do is written in its Content-Security-Policy, which names its scripts and
its style by their hashes. Needs neither a network nor a bundler.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import posixpath
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hematovision.annotations import complete
from hematovision.answering import cell_tables, overlap
from hematovision.cells import border, cells, taxonomy
from hematovision.cells.drawing import choose_colours
from hematovision.cells.taxonomy import find_parent, is_a, lineage
from hematovision.networks import (
    classifier,
    detector,
    differential,
    doubts,
    litert,
    looks,
    population,
    scale,
    tiles,
)
from hematovision.networks.card import NAME, Card, FieldCard, choose_model, read_card
from hematovision.pictures import frame, images, light
from hematovision.program import tables
from hematovision.program.console import UserError, command, say, tell
from hematovision.program.files import HERE, write_text
from hematovision.program.options import option, parse_options
from hematovision.program.records import write_record

PAGE = Path(__file__).parent
LITERT = PAGE / "litert"
EXAMPLE = HERE / "data" / "examples" / "field.jpg"
# The rooms that the page twins, and takes constants from.
ROOMS = (
    tables, images, light, frame, cells, border, taxonomy, tiles, scale, population, doubts,
    detector, classifier, differential, looks, litert, complete, cell_tables, overlap,
)  # fmt: skip
KEPT = ("classes", "image_size", "threshold", "novelty_threshold", "fields")  # of the model card
WASM = "litert_wasm_compat_internal"
IMPORT = re.compile(r'^import \{([^}]*)\} from "([./\w]+)\.js";\n', re.M)
CONSTANTS = "constants"  # the module that is written here, from ROOMS
DECLARED = re.compile(r"^(?:async )?(?:function|class|const|let) (\w+)", re.M)


@dataclass(frozen=True)
class Options:
    model: Path | None = option(None, "folder of a model (default: model/, else the bundled one)")
    output: Path = option(Path("hematovision.html"), "the page to write", metavar="HTML")


def find_constant(name: str) -> Any:
    """The value of a constant of ROOMS; ValueError where two of them differ in it."""
    values = [vars(room)[name] for room in ROOMS if name in vars(room)]
    for room in ROOMS:  # where several rooms have one of that name: SCALE_DOUBTFUL
        prefix = f"{room.__name__.rpartition('.')[2].upper()}_"
        if not values and name.startswith(prefix):
            values = [vars(room)[name.removeprefix(prefix)]]
    if not values or any(value != values[0] for value in values):
        raise ValueError(f"{name}: {len(values)} values in the rooms that the page takes it from")
    value = values[0]
    return value.pattern if isinstance(value, re.Pattern) else value


def bundle(*entries: str) -> str:
    """One script of modules of the page ("ui/main") and of all that they import, the imported
    first.

    What is imported from constants.js is taken from ROOMS. The modules keep to what that needs:
    named imports and exports, and no top-level name twice.
    """
    texts: dict[str, str] = {}
    wanted: set[str] = set()

    def visit(name: str) -> None:
        if name in texts:
            return
        text = (PAGE / f"{name}.js").read_text("utf-8")
        texts[name] = ""  # modules may import each other in a circle
        for names, source in IMPORT.findall(text):
            source = posixpath.normpath(posixpath.join(posixpath.dirname(name), source))
            if source == CONSTANTS:
                wanted.update(re.findall(r"\w+", names))
            else:
                visit(source)
        texts[name] = re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.M)
        texts[name] = f"// --- {name}.js\n{texts.pop(name)}"

    for entry in entries:
        visit(entry)
    constants = {key: find_constant(key) for key in sorted(wanted)}
    head = "".join(f"const {key} = {json.dumps(value)};\n" for key, value in constants.items())
    script = head + "\n".join(texts.values())
    names = DECLARED.findall(script)
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{entries}: declared twice: {', '.join(sorted(twice))}")
    return script


def enclose(script: str) -> str:
    """A script whose names are its own."""
    return f'(() => {{\n"use strict";\n{script}\n}})();\n'


def read_litert(name: str) -> bytes:
    """A file of LiteRT.js, unpacked; UserError where it isn't the one that README.md names."""
    path = LITERT / name
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    if hashlib.sha256(data).hexdigest() not in (LITERT / "README.md").read_text("utf-8"):
        raise UserError(f"{path}: not the file that README.md there names; get it again")
    return data


def litert_script() -> str:
    """LiteRT.js as one classic script: the loader of its wasm, then its module as `LiteRt`."""
    loader, module = (read_litert(f"{name}.js").decode() for name in (WASM, "index"))
    start = "const createWasmLib = async (Lib) => new Lib(await ModuleFactory(self.Module), null);"
    module, imports = re.subn(
        r'import \{ createWasmLib \} from "@litertjs/wasm-utils";', start, module
    )
    module, exports = re.subn(r"export (\{[^}]*\});", r"return \1;", module)
    if (imports, exports) != (1, 1):
        raise UserError(f"{LITERT}: not the LiteRT.js that the page knows; see README.md there")
    script = f"{loader}\nconst LiteRt = (() => {{\n{module}\n}})();\n"
    return re.sub(r"^//# sourceMappingURL.*$", "", script, flags=re.M)


def litert_version() -> str:
    return re.search(r"@litertjs/core\S* (\d[\d.]+\d)", (LITERT / "README.md").read_text())[1]  # type: ignore[index]


def pack(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def sha256_source(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def write_policy(script: str, style: str) -> str:
    """Nothing is fetched and nothing is sent; text becomes code in the worker alone."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sha256_source(script)} 'wasm-unsafe-eval'",
            f"style-src {sha256_source(style)}",
            "worker-src blob:",
            "img-src blob: data:",
            "connect-src 'none'",
            "form-action 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types worker",
        )
    )


def describe_model(card: Card, of_fields: FieldCard, networks: Sequence[bytes]) -> str:
    """What the page knows of its model, as JSON."""
    labels, classes = of_fields.labels, card.classes
    types, bounds = differential.list_types(classes, labels), looks.find_bounds(of_fields)
    colours = {k: f"#{bytes(rgb).hex()}" for k, rgb in choose_colours(labels).items()}
    page = {
        "id": hashlib.sha256(b"".join(networks)).hexdigest()[:12],
        "labels": labels,
        "classes": classes,
        "types": types,
        "kinds": {k: list(lineage(k))[1:] for k in classes},
        "thresholds": of_fields.thresholds,
        "sure": dict(zip(labels, bounds.sure.tolist(), strict=True)),
        "nearly": dict(zip(labels, bounds.nearly.tolist(), strict=True)),
        "colours": colours,
    }
    told = write_record(card)
    kept = {key: told[key] for key in KEPT}
    kept["parents"] = [find_parent(k, classes) for k in classes]
    kept["kind_threshold"] = card.kind_threshold
    kept["typed"] = [label for label in labels if any(is_a(name, label) for name in types)]
    about = {"page": page, "card": kept, "litert": litert_version()}
    return json.dumps(about).replace("<", "\\u003c")


def make_page(folder: Path) -> str:
    """The page of the model in a folder; UserError where it can't find cells in fields."""
    card = read_card(folder)
    files = [folder / f"{name}.tflite" for name in (detector.NAME, NAME)]
    if card.fields is None or not all(path.is_file() for path in files):
        raise UserError(
            f"{folder}: this model can't find cells in whole fields; "
            "train with train_model.py and --field-epochs above 0, or use the bundled model"
        )
    fields, crops = (path.read_bytes() for path in files)
    script = enclose(bundle("ui/main"))
    worker = litert_script() + enclose(bundle("engine/worker"))
    style = (PAGE / "ui" / "page.css").read_text("utf-8")
    parts = {
        "policy": write_policy(script, style),
        "style": style,
        "about": describe_model(card, card.fields, (fields, crops)),
        "fields": pack(fields),
        "crops": pack(crops),
        "wasm": pack(read_litert(f"{WASM}.wasm.gz")),
        "example": base64.b64encode(EXAMPLE.read_bytes()).decode(),
        "worker": worker,
        "script": script,
    }
    for name in ("script", "worker"):
        if "</script" in parts[name].lower() or "<!--" in parts[name]:
            raise ValueError(f"{name}: would end its element")
    template = (PAGE / "ui" / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    folder, notice = choose_model(options.model)
    page = make_page(folder)
    write_text(options.output, page)
    if notice:
        say(notice)
    tell(f"{options.output}: {len(page.encode()) / 1e6:.1f} MB; open it in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
