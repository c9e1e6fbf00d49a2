"""Google credentials that are nobody's, and a token endpoint that says so."""

from __future__ import annotations

import http.server
import threading


class TokenEndpoint:
    """An OAuth token endpoint that refuses everybody."""

    def __enter__(self) -> TokenEndpoint:
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                outer.asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                body = b'{"error": "invalid_grant", "error_description": "Invalid JWT"}'
                self.send_response(400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def service_account(token_url: str) -> dict[str, str]:
    """A key made on the spot."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "acme-web",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "reader@acme-web.iam.gserviceaccount.com",
        "token_uri": token_url,
    }
