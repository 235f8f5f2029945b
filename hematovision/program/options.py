"""What the four scripts are asked for: the command line in, a checked record out.

A script declares its options as a dataclass of `option`s and fills it by `parse_options`.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hematovision.program.console import UserError

MOST_SEED = 2**32 - 1  # what NumPy's older generators take
MOST_WORKERS = 256  # threads of a script: some systems end a process that starts thousands


def option(
    default: Any, help: str, low: float | None = None, high: float | None = None, **extra: Any
) -> Any:
    """Declare one field of an options dataclass: its default, the line `--help` shows, and the
    range that a number must lie in, ends included."""
    return dataclasses.field(
        default=default, metadata={"help": help, "low": low, "high": high, **extra}
    )


def worker_option(help: str) -> Any:
    """Declare how many threads a script works with: by default one for each processor."""
    default = min(os.cpu_count() or 1, MOST_WORKERS)
    return option(default, help, low=1, high=MOST_WORKERS)


def seed_option(help: str) -> Any:
    """Declare the seed of what is random in a script."""
    return option(42, help, low=0, high=MOST_SEED)


def describe_range(low: float | None, high: float | None) -> str:
    """The range of an option in words; empty without one."""
    if low is None:
        return ""
    return f"{low} or more" if high is None else f"{low} to {high}"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaints are the one line that every script promises."""

    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"{self.prog}: {message} (see --help)")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As usual; of an option that isn't there it is said which one may be meant."""
        values, unknown = self.parse_known_args(args, namespace)
        if not unknown:
            return values
        from difflib import get_close_matches

        known = list(self._option_string_actions)
        meant = [get_close_matches(word.partition("=")[0], known, 1) for word in unknown]
        hints = [f"{of[0]} is meant?" for word, of in zip(unknown, meant, strict=True) if of]
        self.error(" ".join([f"unrecognized arguments: {' '.join(unknown)};", *hints]).rstrip(";"))


def parse_path(text: str) -> Path:
    """A file or folder that an option names; an empty name would be the working folder, and one
    with a NUL in it, from a notebook, is none to the system."""
    if not text or "\0" in text:
        why = "a NUL in a name" if text else "an empty name"
        raise argparse.ArgumentTypeError(f"{why}; name a file or a folder")
    return Path(text)


def parse_options(cls: type, description: str | None, argv: Sequence[str] | None) -> Any:
    """Fill the dataclass `cls` from the command line; each field is an option of that name."""
    parser = Parser(
        description=(description or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hints = typing.get_type_hints(cls)
    several: list[str] = []
    for f in dataclasses.fields(cls):
        extra = {k: v for k, v in f.metadata.items() if k not in ("help", "low", "high")}
        kind = hints[f.name]
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            kind = typing.get_args(kind)[0]
        span = describe_range(f.metadata["low"], f.metadata["high"])
        text = f.metadata["help"] + (f", {span}" if span else "")
        if f.default not in (None, dataclasses.MISSING, False, ()):
            text += f" (default: {f.default})"
        if "nargs" in extra:
            parser.add_argument(f.name, type=parse_path, help=text, **extra)
            continue
        if typing.get_origin(kind) is tuple:  # given once or several times, one value or several
            kind = typing.get_args(kind)[0]
            several.append(f.name)
            extra |= {"action": "extend", "nargs": "+"}
        if kind is bool:
            extra["action"] = "store_true"
        elif typing.get_origin(kind) is Literal:
            extra["choices"] = typing.get_args(kind)
        else:
            extra.update(
                type=parse_path if kind is Path else kind,
                metavar=extra.get("metavar", kind.__name__.upper()),
            )
        default = None if f.name in several else f.default
        parser.add_argument("--" + f.name.replace("_", "-"), default=default, help=text, **extra)
    values = vars(parser.parse_args(argv))
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(cls)}
    options = cls(**values | {name: tuple(values[name] or defaults[name]) for name in several})
    for f in dataclasses.fields(cls):
        value, low, high = getattr(options, f.name), f.metadata["low"], f.metadata["high"]
        # "Not within", rather than "outside of", refuses NaN too.
        if None not in (value, low) and not low <= value <= (math.inf if high is None else high):
            name = "--" + f.name.replace("_", "-")
            raise UserError(f"{name} {value}: wants {describe_range(low, high)}")
    return options
