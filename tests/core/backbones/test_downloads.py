"""Downloads, from a server on this computer: whole, broken off, continued, wrong, and absent."""

from __future__ import annotations

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from icmoe_core.backbones import build_backbone, register, unregister
from icmoe_core.backbones.checkpoints import WeightsInfo
from icmoe_core.backbones.downloads import DownloadCancelledError, cache_folder, fetch
from icmoe_core.backbones.sam import SamVariant, build_sam, compose
from icmoe_core.errors import CheckpointError

CONTENT = bytes(range(256)) * 8000  # 2 MB: several pieces
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves `content` at any path; how well, its attributes say.

    Attributes
    ----------
    ranges : bool
        Whether it heeds a Range header.
    breaks : list of int
        For each coming answer, after how many bytes it breaks off.
    asked : list of str or None
        The Range header of each request.
    """

    def __init__(self, content):
        self.content = content
        self.ranges = True
        self.breaks = []
        self.status = 200
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/files/weights.pth"

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.status != 200:
            request.send_error(self.status)
            return
        start = 0
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                request.send_error(416)
                return
            request.send_response(206)
            end = len(self.content)
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        else:
            request.send_response(200)
        body = self.content[start:]
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)


@pytest.fixture
def server():
    server = Server(CONTENT)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache folder, empty; the network is local, whatever proxy is set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return cache_folder()


def get(server):
    return fetch(server.url, "weights.pth", CHECKSUM, len(CONTENT))


def refused(server):
    with pytest.raises(CheckpointError) as caught:
        get(server)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert "give its path" in text
    return text


def left(cache):
    return sorted(path.name for path in cache.iterdir())


def test_a_file_is_downloaded_once(server, cache):
    path = get(server)
    assert path == cache / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert get(server) == path
    assert server.asked == [None]
    assert left(cache) == ["weights.pth"]


def test_a_damaged_file_in_the_cache_is_replaced(server, cache):
    cache.mkdir(parents=True)
    (cache / "weights.pth").write_bytes(CONTENT[:-1])
    assert get(server).read_bytes() == CONTENT


def test_a_download_that_breaks_off_is_taken_up_again(server):
    server.breaks = [500_000, 300_000]
    assert get(server).read_bytes() == CONTENT
    assert server.asked[0] is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.asked[1:]]
    assert 400_000 < starts[0] <= 500_000
    assert starts[0] + 200_000 < starts[1] <= starts[0] + 300_000


def test_the_next_call_continues_a_partial_file(server, cache):
    server.breaks = [700_000, 0]
    assert "broke off" in refused(server)
    assert left(cache) == ["weights.pth.part"]
    came = (cache / "weights.pth.part").read_bytes()
    assert 600_000 < len(came) <= 700_000
    assert came == CONTENT[: len(came)]
    assert get(server).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={len(came)}-"
    assert left(cache) == ["weights.pth"]


def test_a_server_that_breaks_off_each_time_is_given_up(server, cache):
    server.breaks = [100_000] * 50
    refused(server)
    assert len(server.asked) == 5
    assert left(cache) == ["weights.pth.part"]


def test_a_server_without_ranges_sends_it_whole(server, cache):
    server.ranges = False
    cache.mkdir(parents=True)
    (cache / "weights.pth.part").write_bytes(b"x" * 3_000_000)  # longer than the file, too
    assert get(server).read_bytes() == CONTENT
    assert left(cache) == ["weights.pth"]


def test_a_complete_partial_file_is_kept(server, cache):
    cache.mkdir(parents=True)
    (cache / "weights.pth.part").write_bytes(CONTENT)
    assert get(server).read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize("length", [1000, 2_048_000, 5_000_000])
def test_a_partial_file_of_something_else_is_dropped(server, cache, length):
    cache.mkdir(parents=True)
    (cache / "weights.pth.part").write_bytes(b"x" * length)
    assert get(server).read_bytes() == CONTENT
    assert server.asked == [f"bytes={length}-", None]
    assert left(cache) == ["weights.pth"]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[::-1], b"<html>log in</html>", b""])
def test_a_wrong_file_leaves_nothing(server, cache, content):
    server.content = content
    assert "checksum is wrong" in refused(server)
    assert left(cache) == []


def test_progress_is_told_and_counts_what_was_there(server, cache):
    cache.mkdir(parents=True)
    (cache / "weights.pth.part").write_bytes(CONTENT[:500_000])
    told = []
    fetch(server.url, "weights.pth", CHECKSUM, 1, lambda *numbers: told.append(numbers))
    so_far = [have for have, _ in told]
    assert so_far == sorted(so_far)
    assert so_far[0] > 500_000
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert {whole for _, whole in told} == {len(CONTENT)}


def test_a_cancelled_download_is_continued_by_the_next(server, cache):
    def cancel(have, whole):
        if have > 300_000:
            raise DownloadCancelledError("The download was cancelled.")

    with pytest.raises(DownloadCancelledError):
        fetch(server.url, "weights.pth", CHECKSUM, len(CONTENT), cancel)
    assert left(cache) == ["weights.pth.part"]
    have = (cache / "weights.pth.part").stat().st_size
    assert 300_000 < have < len(CONTENT)
    assert get(server).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={have}-"]


def test_offline(server, cache):
    with socket.socket() as closed:  # a port that nobody listens on
        closed.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
    assert "no connection" in refused(server)
    assert left(cache) == []


def test_offline_with_the_file_in_the_cache(server, cache):
    get(server)
    server.url = "http://127.0.0.1:9/weights.pth"
    assert get(server).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_of_the_server_is_told(server, cache, status):
    server.status = status
    assert f"answered {status}" in refused(server)
    assert left(cache) == []


def test_a_fault_without_a_number_is_told_in_its_own_words(server, cache, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("the share is gone")

    monkeypatch.setattr("icmoe_core.backbones.downloads.pooch.retrieve", fail)
    with pytest.raises(CheckpointError, match=r"could not be saved .*\(the share is gone\)"):
        get(server)


def test_a_cache_that_cannot_be_written(server, cache, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(CheckpointError, match=r"could not be saved .*XDG_CACHE_HOME"):
        get(server)


def test_a_model_is_downloaded_and_built(server, tiny_size, tmp_path):
    """The whole way of a published SAM, in miniature."""
    torch.save(compose(tiny_size).state_dict(), tmp_path / "tiny.pth")
    server.content = (tmp_path / "tiny.pth").read_bytes()
    checksum = "sha256:" + hashlib.sha256(server.content).hexdigest()
    variant = SamVariant(
        tiny_size,
        WeightsInfo("Apache-2.0", "tests", checksum, len(server.content), server.url),
    )
    register("tiny-download", lambda weights: build_sam("tiny-download", variant, weights))
    try:
        first = build_backbone("tiny-download")
        second = build_backbone("tiny-download", weights=tmp_path / "tiny.pth")
    finally:
        unregister("tiny-download")
    assert first.weights_sha256 == second.weights_sha256
    assert len(server.asked) == 1
