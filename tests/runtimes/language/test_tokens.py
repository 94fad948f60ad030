"""By token ids, against transformers and against llama.cpp."""

import json
import shutil
import subprocess
import sys

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from weights_at_hand import smollm2_gguf

from mainspring.errors import RequestError, WeightsError
from mainspring.runtimes.language.tokens import Detokenizer, Tokenizer
from mainspring.weights.gguf import read_header
from runtimes.language import vocabularies

NASTY = [
    "",
    " ",
    "   ",
    "\n",
    " \n \n\n  x",
    "\r\n\r\ttabs\t\t and  runs   of    spaces     ",
    "Hello, world!",
    "HELLO'LL I'VE don't DON'T 's 'S '",
    "1 12 123 1234 12345678 ½ ² Ⅷ ٣ 3.14e-10 $1,000",
    "a  1   22    333",
    "🙂🙃 👩‍👩‍👧‍👦 🏳️‍🌈",
    "東京は日本の首都です。漢字、カタカナ",
    "e\u0301 \u00e9 \u1e9b\u0323 ﬁ",
    "\x00\x01\x7f\ufffd\ufeff\u200b\u2028",
    "עברית العربية हिन्दी ไทย",
    "<|im_start|>user\nHi<|im_end|>\n",
    "a<|im_end|>b <|im_end|> c",
    "<s>[INST] Hi [/INST] </s> <unk> <0x0A> <think>x</think>",
    "▁ ▁▁a Ġthe",
    "def f(x):\n\treturn {'a': [1, 2]}\n",
]
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab <|im_end>\n1é🙂東'st▁", max_size=60),
    st.lists(st.sampled_from([*NASTY, " ", "\n"]), max_size=4).map("".join),
)
# transformers reads SmolLM2's GGUF file as if it were GPT-2's, which does not set digits apart before it splits off the
# space in front of them; the published tokenizer.json and llama.cpp do.
DIGITLESS = TEXTS.filter(lambda text: not any(character.isnumeric() for character in text))


@pytest.fixture(scope="module")
def smollm2():
    return Tokenizer.from_gguf(smollm2_gguf())


@pytest.fixture(scope="module")
def in_transformers():
    return AutoTokenizer.from_pretrained(smollm2_gguf().parent, gguf_file=smollm2_gguf().name)


@pytest.fixture(scope="module")
def in_llamacpp():
    """What llama.cpp makes of a text."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.warmup = str(smollm2_gguf()), 256, False
    server = xllamacpp.Server(settings)
    with httpx.Client(base_url=server.listening_address) as client:
        yield lambda text: client.post(
            "/tokenize", json={"content": text, "add_special": False, "parse_special": True}
        ).json()["tokens"]


@pytest.fixture(scope="module", params=["llama-bpe", "qwen2", "gpt-2", "smollm", "sentencepiece", "spaceless"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param in {"sentencepiece", "spaceless"}:
        return vocabularies.sentencepiece(folder, adds_space=request.param == "sentencepiece")
    return vocabularies.byte_level(folder, request.param)


@given(text=DIGITLESS)
@settings(max_examples=300, deadline=None)
def test_smollm2_is_tokenised_as_by_transformers(smollm2, in_transformers, text):
    ids = smollm2.encode(text)
    assert ids == in_transformers.encode(text, add_special_tokens=False)
    assert smollm2.decode(ids, special=True) == in_transformers.decode(ids)
    assert smollm2.decode(ids) == in_transformers.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("text", NASTY)
def test_smollm2_is_tokenised_as_by_llamacpp(smollm2, in_llamacpp, text):
    assert smollm2.encode(text) == in_llamacpp(text)


@pytest.mark.parametrize("made", ["from_gguf", "from_folder"])
def test_a_tokenizer_of_each_kind_is_read_back_as_transformers_has_it(trained, made):
    tokenizer = getattr(Tokenizer, made)(trained.gguf if made == "from_gguf" else trained.folder)
    reference = trained.reference
    assert len(tokenizer) == tokenizer.size == len(reference)
    assert tokenizer.bos_id == reference.bos_token_id
    assert tokenizer.end_ids >= {reference.eos_token_id}
    assert tokenizer.adds_bos == (reference("x").input_ids[0] == reference.bos_token_id)

    @given(text=TEXTS)
    @example("".join(NASTY))
    @settings(max_examples=100, deadline=None)
    def compare(text):
        ids = tokenizer.encode(text)
        assert ids == reference.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids, special=True) == reference.decode(ids, clean_up_tokenization_spaces=False)

    compare()
    for text in NASTY:
        compare.hypothesis.inner_test(text)


def test_special_tokens_in_a_text_are_text_if_so_asked(smollm2):
    assert smollm2.encode("<|im_end|>") == [2]
    plain = smollm2.encode("<|im_end|>", special=False)
    assert 2 not in plain
    assert smollm2.decode(plain) == "<|im_end|>"
    assert smollm2.encode("<|im_end|>") == [2]  # the one does not change the other


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_lone_surrogates_are_refused(smollm2, text):
    with pytest.raises(RequestError, match="surrogate"):
        smollm2.encode(text)


def test_what_is_known_of_smollm2(smollm2):
    assert (smollm2.size, smollm2.bos_id, smollm2.adds_bos) == (49152, 1, False)
    assert smollm2.end_ids == {0, 2}  # <|endoftext|>, <|im_end|>
    assert smollm2.token(2) == "<|im_end|>"
    assert smollm2.is_control(2)
    assert not smollm2.is_control(100)


def test_the_bytes_of_the_tokens_are_those_of_the_text(smollm2, trained):
    for tokenizer in (smollm2, Tokenizer.from_gguf(trained.gguf)):
        for text in ("a  b", "Hello 漢字 🙂\n\t", "\x00\xff", "<|im_end|>"):
            found = b"".join(map(tokenizer.token_bytes, tokenizer.encode(text)))
            assert found == (b" " if tokenizer.adds_space else b"") + text.encode()


def test_what_smollm2_can_write_comes_back(smollm2):
    for text in NASTY:
        assert smollm2.decode(smollm2.encode(text), special=True) == text


@pytest.mark.parametrize("id_", [-1, 49152, 10**12])
def test_a_token_that_is_not_there_is_refused(smollm2, id_):
    for asked in (smollm2.token, smollm2.token_bytes):
        with pytest.raises(RequestError, match=r"there is no token .* has 49152"):
            asked(id_)


@given(ids=st.lists(st.integers(0, 49151), max_size=30), special=st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_tokens_come_in_pieces_that_are_whole_characters(smollm2, in_transformers, ids, special):
    detokenizer = Detokenizer(smollm2, special)
    pieces = [detokenizer.feed(id_) for id_ in ids] + [detokenizer.end()]
    assert "".join(pieces) == smollm2.decode(ids, special)
    assert smollm2.decode(ids, special) == in_transformers.decode(ids, skip_special_tokens=not special)


def test_a_character_is_held_back_until_it_is_whole(smollm2):
    ids = smollm2.encode("漢👩‍👧")
    assert len(ids) > 4
    detokenizer = Detokenizer(smollm2)
    pieces = [detokenizer.feed(id_) for id_ in ids]
    assert "" in pieces
    assert "\ufffd" not in "".join(pieces)
    assert detokenizer.end() == ""
    cut = Detokenizer(smollm2)
    assert cut.feed(ids[0]) + cut.end() == "\ufffd"


def test_reading_a_tokenizer_is_fast(smollm2):
    """2.5 seconds with the reader of the `gguf` package; a third of one here, with room for a busy machine."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from mainspring.runtimes.language.tokens import Tokenizer\n"
        "begin = time.process_time(); Tokenizer.from_gguf(Path(sys.argv[1])); print(time.process_time() - begin)\n"
        "assert not {'gguf', 'torch', 'transformers'} & set(sys.modules)"
    )
    seconds = subprocess.check_output([sys.executable, "-c", program, str(smollm2_gguf())], text=True)
    assert float(seconds) < 2


def _changed(trained, tmp_path, **values):
    from gguf import GGUFWriter

    header = read_header(trained.gguf)
    writer = GGUFWriter(tmp_path / "changed.gguf", "llama")
    for key, value in (
        dict(header.values) | {f"tokenizer.ggml.{name}": value for name, value in values.items()}
    ).items():
        if key == "general.architecture" or value is None:
            continue
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_array(key, value if isinstance(value, list) else value.tolist())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "changed.gguf"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": None}, "has no tokenizer"),
        ({"tokens": None}, "has no tokenizer"),
        ({"model": "bert"}, "gpt2 and llama are read here, found 'bert'"),
        ({"model": 3}, "must be text"),
        ({"pre": "newfangled"}, "'newfangled'"),
        ({"merges": ["a b c"]}, "must be two tokens"),
        ({"merges": ["a zzzz"]}, "must be two tokens"),
        ({"merges": ["ab"]}, "must be two tokens"),
        ({"eos_token_id": 10**6}, "it names the token 1000000"),
        ({"token_type": [1, 1]}, "a number for each"),
        ({"tokens": ["a", "a"]}, "there twice"),
    ],
)
def test_a_damaged_tokenizer_is_refused(tmp_path, values, message):
    trained = vocabularies.byte_level(tmp_path, "gpt-2")
    if values.get("tokens"):
        values = values | {"token_type": None}
    with pytest.raises(WeightsError, match=message):
        Tokenizer.from_gguf(_changed(trained, tmp_path, **values))


def test_a_folder_that_is_not_sound_is_refused(tmp_path):
    folder = vocabularies.byte_level(tmp_path, "gpt-2").folder
    written = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(
        json.dumps(written | {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}})
    )
    with pytest.raises(WeightsError, match="WordPiece"):
        Tokenizer.from_folder(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        Tokenizer.from_folder(folder)
    shutil.copy(folder / "model.gguf", folder / "tokenizer.json")
    with pytest.raises(WeightsError, match="cannot be read"):
        Tokenizer.from_folder(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        Tokenizer.from_folder(folder)
