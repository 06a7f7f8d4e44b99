"""ModelSpec: what a shipped ONNX file needs to be run, in one JSON file beside it.

The graph is stateless; the host owns time. Each `StateSpec` says which graph input is filled with what an earlier step
left behind, and how much earlier: `lag_s` 0 means the previous step, otherwise the remembered step nearest in capture
time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.errors import ModelError

MODELS = Path(__file__).parent / "models"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorSpec(_Strict):
    """One graph input or output; shapes are static, layout NCHW."""

    shape: tuple[int, ...]
    dtype: Literal["float32"] = "float32"


class StateSpec(_Strict):
    """How one state input is filled."""

    source: str  # the graph output to remember, or "frame": the frame input itself
    lag_s: float  # seconds back in capture time; 0: the previous step
    missing: Literal["zeros", "frame"]  # what to feed while there is no such step


class ModelSpec(_Strict):
    """The contract between one ONNX file and the host.

    Inputs are `frame` (1, 1, H, W; grey, 0..1), `clock` (1, 2: seconds since the previous step, seconds since the
    reset; both 0 at the first step) and the keys of `states`. Outputs are `logits` (1, 1, H/2, W/2), `noise` (1,;
    robust temporal sigma, 0..1 scale) and every `source` that states name.
    """

    name: str
    file: str
    sha256: str
    precision: Literal["fp32", "int8"]
    opset: int
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    states: dict[str, StateSpec]
    resize: Literal["letterbox", "stretch"]
    threshold: float  # probability above which a pixel may be gas…
    certain: float = 0.0  # …if some pixel that hangs together with it is above this one
    min_component_px: int  # mask components below this many source-resolution pixels at 320x240 are dropped
    provenance: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame input, px."""
        return self.inputs["frame"].shape[3], self.inputs["frame"].shape[2]

    @property
    def longest_lag(self) -> float:
        """Seconds of history that the model looks back on."""
        return max(state.lag_s for state in self.states.values())

    def check(self, where: Path) -> None:
        """Refuse a spec that does not hang together, with a ModelError that names the first thing wrong."""
        for name in ("frame", "clock"):
            if name not in self.inputs:
                raise ModelError(f"{where}: input '{name}' is missing from the ModelSpec; export the model again")
        for name in ("logits", "noise"):
            if name not in self.outputs:
                raise ModelError(f"{where}: output '{name}' is missing from the ModelSpec; export the model again")
        unfed = set(self.inputs) - {"frame", "clock"} - set(self.states)
        if unfed:
            raise ModelError(f"{where}: no state feeds input '{min(unfed)}'; the ModelSpec must name it under 'states'")
        for name, state in self.states.items():
            if name not in self.inputs:
                raise ModelError(f"{where}: state '{name}' is no input of the ModelSpec; export the model again")
            source = self.inputs["frame"] if state.source == "frame" else self.outputs.get(state.source)
            if source is None:
                raise ModelError(
                    f"{where}: state '{name}' wants output '{state.source}', which is missing; export the model again"
                )
            if source.shape != self.inputs[name].shape:
                raise ModelError(
                    f"{where}: state '{name}' is {self.inputs[name].shape} but its source is {source.shape}"
                )


def load(path: str | Path, *, verify: bool = True) -> tuple[ModelSpec, Path]:
    """Read a ModelSpec and find its ONNX file.

    `path` is the ONNX file, its `.json`, or the name of a shipped model ("student.int8"). Returns the spec and the path
    of the ONNX file; with `verify` the file's sha256 must match. Raises ModelError.
    """
    path = Path(path)
    if path.suffix not in (".onnx", ".json") and not path.exists():
        path = MODELS / f"{path.name}.json"
    spec_path = path.with_suffix(".json")
    if not spec_path.is_file():
        raise ModelError(f"{spec_path}: no such ModelSpec; shipped models: {', '.join(shipped()) or 'none'}")
    try:
        spec = ModelSpec.model_validate_json(spec_path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ModelError(f"{spec_path}: not a ModelSpec: {where}: {first['msg']}") from error
    spec.check(spec_path)
    onnx_path = spec_path.with_name(spec.file)
    if not onnx_path.is_file():
        raise ModelError(f"{onnx_path}: the model file that {spec_path.name} names is missing")
    if verify:
        digest = hashlib.sha256(onnx_path.read_bytes()).hexdigest()
        if digest != spec.sha256:
            raise ModelError(
                f"{onnx_path}: sha256 is {digest[:12]}…, the ModelSpec says {spec.sha256[:12]}…; "
                "the file is damaged or not ours"
            )
    return spec, onnx_path


def shipped() -> list[str]:
    """Names of the models in the package."""
    return sorted(path.stem for path in MODELS.glob("*.json"))
