import fcntl
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mainspring.monitoring import segments
from mainspring.monitoring.segments import FeedbackFrame, Load, SegmentWriter, TrafficFrame

WRITE_WITHOUT_END = """
import sys
from pathlib import Path
from mainspring.monitoring.segments import FeedbackFrame, SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]))
for n in range(10**9):
    writer.append(FeedbackFrame(n, ["x" * 1000] * 20, [""] * 20, [1.0] * 20))
    if n == 50:
        print("going", flush=True)
"""
WRITE_TOO_MUCH = """
import resource, sys
from pathlib import Path
from mainspring.monitoring.segments import FeedbackFrame, SegmentWriter
most = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
writer = SegmentWriter(Path(sys.argv[1]))
failed = 0
for n in range(30):
    try:
        writer.append(FeedbackFrame(n, ["x" * 1000], [""], [1.0]))
    except OSError:
        failed += 1
print(failed)
"""


def frame(n):
    return FeedbackFrame(n, [f"id{n}"], [""], [float(n)])


def written(folder, count=3):
    writer = SegmentWriter(folder)
    for n in range(count):
        writer.append(frame(n))
    writer.close()
    [path] = segments.segments(folder)
    return path


def test_frames_come_back_as_they_were(tmp_path):
    writer = SegmentWriter(tmp_path / "log" / "delay")
    frames = [
        FeedbackFrame(7, ["a", ""], ["", "k"], [True, "late"]),
        FeedbackFrame(8, ["a", "b"], ["", ""], [3, 2.5]),
        TrafficFrame([Load("1", 0, 10, 3, 1, 0.5, -5.4, 9.7, 4)]),
    ]
    writer.append(*frames, durable=True)
    [path] = segments.segments(tmp_path / "log" / "delay")
    found = segments.read(path)
    assert found.frames == frames
    assert [type(label) for label in found.frames[0].labels + found.frames[1].labels] == [bool, str, int, float]
    assert (found.end, found.torn, found.corrupt) == (path.stat().st_size, 0, 0)
    assert abs(segments.began(path.stem).timestamp() - time.time()) < 60
    writer.close()


def test_reading_goes_on_where_it_ended(tmp_path):
    writer = SegmentWriter(tmp_path)
    writer.append(frame(0))
    [path] = segments.segments(tmp_path)
    first = segments.read(path)
    writer.append(frame(1))
    assert segments.read(path, first.end).frames == [frame(1)]
    writer.close()


@pytest.mark.parametrize("cut", [1, 11, 12, 20])
def test_a_torn_end_is_left_out_and_counted(tmp_path, cut):
    path = written(tmp_path)
    whole = segments.read(path)
    with path.open("r+b") as file:
        file.truncate(whole.end - cut)
    found = segments.read(path)
    assert found.frames == [frame(0), frame(1)]
    assert found.torn == path.stat().st_size - found.end > 0
    assert found.corrupt == 0


@pytest.mark.parametrize("place", [0, 9, 14])
def test_a_corrupt_frame_ends_the_reading(tmp_path, place):
    path = written(tmp_path)
    start = segments.read(path).end // 3
    content = bytearray(path.read_bytes())
    content[start + place] ^= 0xFF
    path.write_bytes(content)
    found = segments.read(path)
    assert found.frames == [frame(0)]
    assert found.corrupt == len(content) - start


def test_a_frame_of_another_make_is_corrupt(tmp_path):
    import struct
    import zlib

    path = written(tmp_path)
    payload = b"\x93\xa7unknown\x01\x02"
    with path.open("ab") as file:
        file.write(struct.pack("<4sII", b"MSL1", len(payload), zlib.crc32(payload)) + payload)
    found = segments.read(path)
    assert len(found.frames) == 3
    assert found.corrupt


def test_the_next_segment_begins_after_size_and_age_and_deletion(tmp_path):
    writer = SegmentWriter(tmp_path, size=1)
    writer.append(frame(0))
    writer.append(frame(1))
    writer.close()
    assert len(segments.segments(tmp_path)) == 2

    writer = SegmentWriter(tmp_path / "aged", age=0.0)
    writer.append(frame(0))
    writer.append(frame(1))
    writer.close()
    assert len(segments.segments(tmp_path / "aged")) == 2

    writer = SegmentWriter(tmp_path / "kept")
    writer.append(frame(0))
    writer.append(frame(1))
    [path] = segments.segments(tmp_path / "kept")
    path.unlink()
    writer.append(frame(2))
    [path] = segments.segments(tmp_path / "kept")
    assert segments.read(path).frames == [frame(2)]
    writer.close()


def test_an_open_segment_is_locked_until_it_is_closed(tmp_path):
    writer = SegmentWriter(tmp_path)
    writer.append(frame(0))
    [path] = segments.segments(tmp_path)
    with path.open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_killed_writer_leaves_all_whole_frames_and_no_lock(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", WRITE_WITHOUT_END, tmp_path], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"going\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    [path] = segments.segments(tmp_path)
    found = segments.read(path)
    assert [one.received for one in found.frames] == list(range(len(found.frames)))
    assert len(found.frames) > 50
    assert found.corrupt == 0
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lose_on_a_full_disk(folder, size):
    """How many of 30 frames of 1 kB were lost where no file may be larger than `size`."""
    command = [sys.executable, "-c", WRITE_TOO_MUCH, folder, str(size)]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_a_full_disk_costs_frames_and_damages_none(tmp_path):
    failed = lose_on_a_full_disk(tmp_path, 10_000)
    assert failed >= 2
    found = [segments.read(path) for path in segments.segments(tmp_path)]
    assert sum(len(one.frames) for one in found) == 30 - failed
    assert not any(one.torn or one.corrupt for one in found)


def test_a_full_disk_is_not_filled_with_empty_segments(tmp_path):
    assert lose_on_a_full_disk(tmp_path, 500) == 30
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "log").write_text("a file")
    with pytest.raises(OSError, match="log"):
        SegmentWriter(tmp_path / "log").append(frame(0))


def test_other_files_are_no_segments(tmp_path):
    path = written(tmp_path)
    (tmp_path / "notes.seg").write_text("mine")
    assert segments.segments(tmp_path) == [path]
    with pytest.raises(ValueError, match="notes"):
        segments.began("notes")


def test_row_ids_count_the_rows_of_each_request():
    found = segments.PredictionFrame(
        "1",
        "live",
        ["a", "b", "c"],
        np.array([1, 2, 3]).tobytes(),
        np.array([1, 2, 0], np.int32).tobytes(),
        [],
        {},
        {},
        {},
    )
    assert found.row_ids.tolist() == ["a", "b-0", "b-1"]
    assert found.row_times.tolist() == [1, 2, 2]
