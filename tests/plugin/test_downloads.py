"""The download of a model's weights, as the window sees it."""

import threading

import pytest
from shiboken6 import delete

from icmoe_core.backbones import downloads
from icmoe_core.backbones.checkpoints import WeightsInfo
from napari_icmoe.downloads import WeightsDownload

INFO = WeightsInfo(
    licence="MIT",
    source="https://example.org",
    checksum="sha256:" + "0" * 64,
    size_bytes=100,
    url="https://example.org/weights.pth",
)
WAIT_S = 10


@pytest.fixture
def server(monkeypatch):
    """Sends a byte whenever it is told to; notes whether the download was cancelled."""

    class Server:
        def __init__(self):
            self.go_on, self.ended = threading.Event(), threading.Event()
            self.cancelled = False

        def fetch(self, url, name, checksum, size_bytes, report):
            try:
                report(1, 100)
                self.go_on.wait(WAIT_S)
                report(100, 100)
            except downloads.DownloadCancelledError:
                self.cancelled = True
                raise
            finally:
                self.ended.set()

    server = Server()
    monkeypatch.setattr(downloads, "fetch", server.fetch)
    return server


@pytest.fixture
def download(qapp):
    return WeightsDownload()


def test_progress_and_end_are_told(download, server, qtbot):
    progress, ended = [], []
    download.progressed.connect(lambda have, whole: progress.append((have, whole)))
    download.ended.connect(ended.append)
    download.start("a model", INFO)
    qtbot.waitUntil(lambda: progress == [(1, 100)])
    assert download.running
    server.go_on.set()
    qtbot.waitUntil(lambda: ended == [None])
    assert progress[-1] == (100, 100)
    assert not download.running


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_one_that_nobody_wants_ends_without_a_word(download, server, qtbot, end):
    told = []
    download.progressed.connect(lambda *_: told.append("progress"))
    download.ended.connect(told.append)
    download.start("a model", INFO)
    qtbot.waitUntil(lambda: told == ["progress"])
    download.cancel() if end == "cancel" else delete(download)
    server.go_on.set()
    assert server.ended.wait(WAIT_S)
    qtbot.wait(20)
    assert server.cancelled
    assert told == ["progress"]
