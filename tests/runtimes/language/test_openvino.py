import threading

import pytest
from weights import small_models

from mainspring.errors import EngineGoneError
from mainspring.runtimes.language.local import load_local
from mainspring.runtimes.language.protocol import Generate, Sampling
from mainspring.weights import to_gguf
from runtimes.language.local_engines import collect, run


def test_a_closed_engine_begins_to_load_no_lookup(tmp_path):
    to_gguf.convert(small_models.make("smollm 2", tmp_path).folder, tmp_path / "model.gguf", "Q8_0")
    engine = load_local(tmp_path / "model.gguf", engine="openvino", properties={"cache_tokens": 256})

    async def ask_when_it_is_closed():
        await engine.close()
        with pytest.raises(EngineGoneError, match="the engine is closed"):
            await collect(engine, Generate(prompt="Hello", sampling=Sampling(temperature=0), lookup=True))

    run(ask_when_it_is_closed)
    assert "lookup" not in [thread.name for thread in threading.enumerate()]
