"""The one model in the formats that the engines read, all made of the file that Mainspring serves.

So no engine has better weights to start from than another; what its own format rounds away comes on top. They lie in
`.benchmarks/language/files/`, in a folder named by the digest of what they are made of, and are kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from peers import HERE, WORK, python_of, run, say

from mainspring.runtimes.language.openvino_graph import write_graph
from mainspring.weights.gguf_weights import WeightType, requantize
from mainspring.weights.to_huggingface import FloatType, convert

THREADS = 2


class ModelFiles:
    """Each is made when it is asked for first. `gguf`: the file that Mainspring serves."""

    def __init__(self, gguf: Path) -> None:
        self.gguf = gguf
        self._folder = WORK / "files" / hashlib.sha256(gguf.read_bytes()).hexdigest()[:12]

    def requantized(self, type_: WeightType) -> Path:
        """The weights in another type of GGUF."""
        return self._made(f"model-{type_}.gguf", lambda target: requantize(self.gguf, target, type_))

    def graph(self) -> Path:
        """The folder of the graph that Mainspring gives OpenVINO."""

        def write(target: Path) -> None:
            target.mkdir()
            write_graph(self.gguf, target)

        return self._made("graph", write)

    def int8_graph(self) -> Path:
        """The folder of a graph whose weights NNCF has put into 8 bits, a scale for each row."""

        def compress(target: Path) -> None:
            target.mkdir()
            with tempfile.TemporaryDirectory(dir=target.parent) as wide:
                write_graph(self.requantized("F16"), Path(wide))
                run(python_of("nncf"), HERE / "nncf_compress.py", wide, target)

        return self._made("graph-int8", compress)

    def huggingface(self, type_: FloatType) -> Path:
        """A folder for transformers, unquantised."""
        return self._made(f"huggingface-{type_}", lambda target: convert(self.gguf, target, type_))

    def ortgenai(self) -> Path:
        """What ONNX Runtime GenAI's model builder makes: 4-bit weights, multiplied as 8-bit integers."""

        def build(target: Path) -> None:
            source = self.huggingface("F32")
            with tempfile.TemporaryDirectory(dir=target.parent) as cache:
                command = ("-m", "onnxruntime_genai.models.builder", "-i", source, "-o", target, "-c", cache)
                options = ("-p", "int4", "-e", "cpu", "--extra_options", "accuracy_level=4")
                run(python_of("ortgenai"), *command, *options)
            path = target / "genai_config.json"
            config = json.loads(path.read_text())
            config["model"]["decoder"]["session_options"]["intra_op_num_threads"] = THREADS
            path.write_text(json.dumps(config, indent=4))

        return self._made("ortgenai", build)

    def ctranslate2(self) -> Path:
        """What CTranslate2's converter makes, with 8-bit weights."""

        def build(target: Path) -> None:
            command = ("-m", "ctranslate2.converters.transformers", "--model", self.huggingface("F32"))
            run(python_of("ctranslate2"), *command, "--output_dir", target, "--quantization", "int8")

        return self._made("ctranslate2", build)

    def _made(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file or folder of that name; `make` puts it where it is told, and it is moved when it is whole."""
        target, unfinished = self._folder / name, self._folder / "unfinished" / name
        if not target.exists():
            say(f"making {name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.unlink(missing_ok=True)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            make(unfinished)
            unfinished.rename(target)
        return target


def size(path: Path) -> int:
    """Bytes of weights: of a file, or of the largest files of a folder, which hold them."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.suffix in _WEIGHTS)


_WEIGHTS = {".bin", ".data", ".onnx", ".safetensors"}
