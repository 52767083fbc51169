"""A small web server, checksums and zip archives for the tests of downloads."""

import contextlib
import hashlib
import http.server
import io
import threading
import time
import zipfile


@contextlib.contextmanager
def serving(
    content=b"",
    *,
    status=200,
    cut=None,
    wait_s=0.0,
    pause_s=0.0,
    drip_s=0.0,
    raw=None,
    headers=None,
    ranges=False,
):
    """Serve one content at every address of a local server; give its address and requested paths.

    Args:
        content: the body.
        status: of the answer.
        cut: send only so many bytes of the body, or of its second half after a pause.
        drip_s: send the body, or `raw`, byte by byte with so many seconds between.
        ranges: send the rest of the body if the request has a range, which follows its path then.
        wait_s: before the answer.
        pause_s: between the two halves of the body.
        raw: the bytes of the whole answer, instead of a valid one.
        headers: replace the usual ones.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range", "") if ranges else ""
            asked.append(f"{self.path} {wanted}".strip())
            time.sleep(wait_s)
            with contextlib.suppress(OSError):
                if raw is not None:
                    self.send(raw)
                    return
                start = int(wanted[6:-1] or 0)  # bytes=START-
                if start >= len(content) > 0:
                    self.send_error(416)
                    return
                self.send_response(206 if start else status)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/*")
                for pair in (headers or {"Content-Length": str(len(content) - start)}).items():
                    self.send_header(*pair)
                self.end_headers()
                half = len(content) // 2 if pause_s else start
                self.wfile.write(content[start:half])
                time.sleep(pause_s)
                self.send(content[half:][:cut])

        def send(self, body):
            for byte in body if drip_s else ():
                self.wfile.write(bytes([byte]))
                time.sleep(drip_s)
            if not drip_s:
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tutorial/images.zip", asked
    finally:
        server.shutdown()
        server.server_close()


def zipped(members):
    """Return the bytes of a zip archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sha256(content):
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
