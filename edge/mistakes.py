"""What is wrong with a configuration, in a person's words: the line of the file, the key, the reason."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

Mistake = tuple[int, str]  # line, from 1; "path.to.key: what is wrong"
Place = tuple[str | int, ...]  # such as ("cameras", 0, "fps")


def refused(error: ValidationError, root: yaml.Node, model: type[BaseModel]) -> list[Mistake]:
    """What pydantic found when it read the file below `root` as a `model`."""
    return [(line(root, found["loc"]), _explain(found, model)) for found in _innermost(error.errors())]


def _innermost(errors: Sequence[Any]) -> list[Any]:
    """Without what follows from another one: pydantic also calls a list too short whose only item is wrong."""
    return [
        e for e in errors if not any(len(o["loc"]) > len(n := e["loc"]) and o["loc"][: len(n)] == n for o in errors)
    ]


def _explain(error: Any, model: type[BaseModel]) -> str:
    """One validation error as `path.to.key: what is wrong`, with the nearest known key for an unknown one."""
    loc = error["loc"]
    key = ".".join(str(part) for part in loc)
    if error["type"] == "missing":
        return f"{key}: this key is required"
    if error["type"] == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return f"{key}: unknown key; " + (f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}")
    said = error["msg"].removeprefix("Value error, ")
    message = said[0].lower() + said[1:]
    return f"{key}: {message} (got {str(error['input'])[:60]!r})"


def _keys_at(model: type[BaseModel], loc: Place) -> list[str]:
    """The keys that the schema knows at a place such as ("cameras", 0)."""
    for part in loc:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            choices = (annotation, *typing.get_args(annotation))
            model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def line(node: yaml.Node, loc: Place) -> int:
    """The line, from 1, of the value at `loc`, or of the deepest part of that path that the file has."""
    number = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            number, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            number = node.start_mark.line + 1
    return number


def duplicates(node: yaml.Node) -> list[Mistake]:
    """YAML lets a key's second value silently win; here that is a mistake."""
    if isinstance(node, yaml.SequenceNode):
        return [one for child in node.value for one in duplicates(child)]
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[str] = set()
    found = []
    for key, child in node.value:
        if str(key.value) in seen:
            found.append((key.start_mark.line + 1, f"{key.value}: this key stands here twice"))
        seen.add(str(key.value))
        found += duplicates(child)
    return found
