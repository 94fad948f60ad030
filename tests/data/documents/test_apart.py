from __future__ import annotations

import os
import signal
import threading
import time

from mainspring.data.documents.apart import Apart
from mainspring.data.documents.document import Document, Unread


def test_a_file_that_takes_too_long_is_given_up_and_the_next_one_is_read(tmp_path):
    (tmp_path / "slow.md").write_text("\n\n".join(["[" * 40_000] * 10))
    (tmp_path / "good.md").write_text("good")
    apart = Apart(seconds=0.15)
    slow = apart.read(tmp_path / "slow.md", "slow.md")
    assert slow == Unread("slow.md", "took more than 0.15 s of computing, and was given up")
    patient = Apart()
    assert isinstance(patient.read(tmp_path / "good.md", "good.md"), Document)


def test_a_reader_that_crashes_is_blamed_on_its_file(tmp_path):
    (tmp_path / "a.md").write_text("a")
    apart = Apart()
    assert isinstance(apart.read(tmp_path / "a.md", "a.md"), Document)
    os.mkfifo(tmp_path / "waiting.md")
    process = apart._process
    threading.Timer(0.2, os.kill, (process.pid, signal.SIGSEGV)).start()
    assert apart.read(tmp_path / "waiting.md", "waiting.md").reason == "crashed its reader (signal SIGSEGV)"
    assert apart.read(tmp_path / "a.md", "a.md").text == "a"
    assert apart._process.pid != process.pid


def test_a_process_that_was_ended_between_two_files_is_replaced(tmp_path):
    (tmp_path / "a.md").write_text("a")
    apart = Apart()
    apart.read(tmp_path / "a.md", "a.md")
    apart._process.kill()
    apart._process.wait()
    assert apart.read(tmp_path / "a.md", "a.md").text == "a"


def test_modules_of_the_project_are_not_taken_for_those_of_the_reader(tmp_path, monkeypatch):
    (tmp_path / "html.py").write_text("raise SystemExit('executed')")
    (tmp_path / "a.html").write_text("<p>a&amp;b")
    monkeypatch.chdir(tmp_path)
    assert Apart().read(tmp_path / "a.html", "a.html").text == "<p>a&amp;b"


def test_the_process_ends_with_who_asks(tmp_path):
    (tmp_path / "a.md").write_text("a")
    apart = Apart()
    apart.read(tmp_path / "a.md", "a.md")
    pid = apart._process.pid
    del apart
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("it lives on")


def test_many_threads_may_ask(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.md").write_text(f"text {number}")
    apart = Apart()
    found: dict[int, str] = {}

    def read(number: int) -> None:
        found[number] = apart.read(tmp_path / f"{number}.md", f"{number}.md").text

    threads = [threading.Thread(target=read, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"text {number}" for number in range(40)}
