"""From the states of tokens to one vector, as the settings of a sentence-transformers folder say.

(Reimers & Gurevych, 2019. The settings: `modules.json`, `1_Pooling/config.json`, `sentence_bert_config.json`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from mainspring.errors import RuntimeLoadError

Mode: TypeAlias = Literal["cls", "mean", "max", "mean_sqrt_len"]
_SETTING: dict[str, Mode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
}
_MODULES = {"Transformer", "Pooling", "Normalize"}
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Pooling:
    """How vectors are made. `context` is the most tokens of a text, and `width` how long a vector is."""

    mode: Mode
    context: int
    width: int

    def __call__(self, states: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The vectors, (n, width) of length 1, of states (n, t, width) where the mask (n, t) is 1."""
        there = mask[:, :, None].astype(np.float32)
        if self.mode == "cls":
            found = states[:, 0]
        elif self.mode == "max":
            found = np.where(there > 0, states, -np.inf).max(1)
        else:
            counts = there.sum(1)
            found = (states * there).sum(1) / (counts if self.mode == "mean" else np.sqrt(counts))
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def read_pooling(folder: Path) -> Pooling:
    """What the settings in `folder` say. A folder without a word on pooling takes the mean, as is usual.

    Raises:
        RuntimeLoadError: they are damaged, or ask for something that is not done here.
    """
    config = _read(folder / "config.json")
    width, positions = config.get("hidden_size"), config.get("max_position_embeddings")
    if not isinstance(width, int) or not isinstance(positions, int):
        raise RuntimeLoadError(f"{folder / 'config.json'} must say hidden_size and max_position_embeddings")
    modules = _read(folder / "modules.json", [])
    names = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if wrong := [name for name in names if name not in _MODULES]:
        raise RuntimeLoadError(f"{folder}: its vectors go through {wrong[0]!r}, which is not done here")
    place = next((module.get("path") for module in modules if str(module["type"]).endswith("Pooling")), "1_Pooling")
    settings = _read(folder / str(place) / "config.json", {"pooling_mode_mean_tokens": True})
    asked = [name for name, value in settings.items() if name.startswith("pooling_mode") and value is True]
    if len(asked) != 1 or asked[0] not in _SETTING:
        raise RuntimeLoadError(f"{folder}: pooling is one of {', '.join(_SETTING)}; found {', '.join(asked) or 'none'}")
    longest = _read(folder / "sentence_bert_config.json", {}).get("max_seq_length") or positions
    return Pooling(_SETTING[asked[0]], min(int(longest), positions), width)


def _read(path: Path, otherwise: Any = None) -> Any:
    if not path.is_file() and otherwise is not None:
        return otherwise
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RuntimeLoadError(f"{path} has more than {_MOST_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise RuntimeLoadError(f"{path} cannot be read: {error}") from None
