"""A small web server, checksums and zip archives for the tests of downloads."""

import contextlib
import hashlib
import http.server
import io
import threading
import time
import zipfile


@contextlib.contextmanager
def serving(content=b"", *, status=200, cut=None, wait_s=0.0, pause_s=0.0, raw=None, headers=None):
    """Serve one content at every address of a local server; give its address and requested paths.

    Args:
        content: the body.
        status: of the answer.
        cut: send only so many bytes of the body.
        wait_s: before the answer.
        pause_s: between the two halves of the body.
        raw: the bytes of the whole answer, instead of a valid one.
        headers: replace the usual ones.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(wait_s)
            with contextlib.suppress(OSError):
                if raw is not None:
                    self.wfile.write(raw)
                    return
                self.send_response(status)
                for pair in (headers or {"Content-Length": str(len(content))}).items():
                    self.send_header(*pair)
                self.end_headers()
                half = len(content) // 2 if pause_s else 0
                self.wfile.write(content[:half])
                time.sleep(pause_s)
                self.wfile.write(content[half:cut])

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
