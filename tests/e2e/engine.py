"""A tiny engine that misbehaves as it is told: engine.py SOCKET BEHAVIOUR...

For faults that the real engine cannot be made to show. It answers as llama.cpp does: /health, then completions.
"""
import http.server
import os
import signal
import socketserver
import sys
import time

path, behaviour = sys.argv[1], sys.argv[2:]

if "exits" in behaviour:
    print("this engine has had enough", flush=True)
    sys.exit(3)
if "stubborn" in behaviour:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "daemon" in behaviour and os.fork() == 0:
    # Leaves session, group and parent, as daemons do.
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(503 if "never" in behaviour else 200, b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "half" in behaviour and self.path == "/v1/chat/completions":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b'data: {"choices": [{"delta": {"content": "half an"}}]}\n\n')
            self.close_connection = True
            return
        self.answer(200, b'{"choices": [{"message": {"content": "whole"}}]}')

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("engine", 0)


Server(path, Handler).serve_forever()
