"""How a node's events are written: one in a line, for programs or for people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TextIO

from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import Millis


class Form(StrEnum):
    """How a line looks."""

    JSON = "json"
    TEXT = "text"


def writer(form: Form, out: TextIO | None = None) -> Callable[..., None]:
    """Writes events to a stream, standard output by default: a name and its circumstances."""

    def say(event: str, **circumstances: object) -> None:
        stream = sys.stdout if out is None else out
        now_ms = time.time_ns() // 1_000_000
        if form is Form.JSON:
            line = json.dumps({"at": now_ms / 1_000, "event": event, **circumstances})
        else:
            words = [f"{name}={_word(value)}" for name, value in circumstances.items()]
            line = " ".join([f"{format_moment(Millis(now_ms))}", event, *words])
        stream.write(line + "\n")
        stream.flush()

    return say


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return json.dumps(text) if not text or any(each in text for each in ' "=\n') else text
