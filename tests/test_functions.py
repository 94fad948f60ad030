"""Functions of a project's own."""

import sys
import threading

from mainspring import functions


def test_two_at_once_are_each_found_and_leave_no_trace(tmp_path):
    began = threading.Barrier(2, timeout=10)
    found, folders = {}, [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
        (folder / "helper.py").write_text(f"NAME = {folder.name!r}")
        (folder / "own.py").write_text(
            "import time\n\ndef give():\n    time.sleep(0.1)\n    from helper import NAME\n\n    return NAME\n"
        )
    before = list(sys.path)

    def call(folder):
        began.wait()
        found[folder.name] = functions.call("own:give", folder, ValueError)

    threads = [threading.Thread(target=call, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"one": "one", "other": "other"}
    assert sys.path == before
    assert not {"own", "helper"} & set(sys.modules)
