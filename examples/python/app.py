#!/usr/bin/env python3
"""A small MMS application on top of mmsgw. Standard library only.

    app.py send --to +15555550102 --text Hello --file picture.jpg      sends a message and prints its id
    app.py serve --secret whsec_…                                      takes callbacks until it is stopped

`serve` prints each event of sent messages; each message from a phone is printed, its media are fetched into a
directory, and it is answered: acknowledgement and delivery report, as far as the sender's side asked for them. The
gateway posts to it with these lines in the gateway file, and the same secret under [callbacks] in the main file:

    [gateway]
    events_url = "http://127.0.0.1:8090/events"
    [inbound]
    mms_received_url = "http://127.0.0.1:8090/messages"
    [features]
    auto_ack = false
    auto_dr = "no"
"""

import argparse
import base64
import json
import mimetypes
import os
import queue
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import webhook


class Gateway:
    """The gateway's REST API."""

    def __init__(self, url, key):
        self.base = url.rstrip("/")
        self.key = key

    def call(self, method, path, body=None):
        """The JSON of the answer; HTTPError says no, with a problem (RFC 9457) as its body."""
        answer = self._open(self.base + "/mmsgw/v1" + path, method, body)
        return json.loads(answer) if answer else None

    def fetch(self, url):
        """The octets of a part."""
        if url.startswith("/"):
            url = self.base + url
        return self._open(url, "GET")

    def _open(self, url, method, body=None):
        request = urllib.request.Request(url, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        # The key is for the gateway, and for nobody else that a URL may lead to.
        if self.key and url.startswith(self.base + "/"):
            request.add_header("Authorization", "Bearer " + self.key)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


def send(gateway, options):
    parts = [{"name": "text.txt", "content_type": "text/plain", "content": options.text}] if options.text else []
    for file in options.file:
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        content = base64.b64encode(file.read_bytes()).decode()
        parts.append({"name": file.name, "content_type": kind, "encoding": "base64", "content": content})
    order = {"destination": options.to}
    if options.gateway:
        order["gateway"] = options.gateway
    message = gateway.call("POST", "/mms", {
        "origin": options.origin, "subject": options.subject, "parts": parts, "send": order})
    print(message["id"])


class Inbox:
    """What was posted to us, worked on after the gateway was told that we have it."""

    def __init__(self, gateway, media):
        self.gateway = gateway
        self.media = media
        # The gateway repeats a callback whose answer was lost, under the same id. An application that must not do
        # anything twice keeps ids where it keeps the rest of its data.
        self.seen = set()
        self.lock = threading.Lock()
        self.waiting = queue.Queue()

    def take(self, identity, work, body):
        with self.lock:
            if identity in self.seen:
                return
            self.seen.add(identity)
        self.waiting.put((work, body))

    def work(self):
        while True:
            work, body = self.waiting.get()
            try:
                work(self, body)
            except OSError as error:
                print("%s failed: %s" % (work.__name__, error), file=sys.stderr, flush=True)

    def event(self, event):
        print("event %s %s %s" % (event["message"], event["state"], event["destinations"]), flush=True)

    def message(self, message):
        subject = message["template"]["subject"] or ""
        print("message %s from %s: %s" % (message["id"], message["origin"], subject), flush=True)
        for place, part in enumerate(message["template"]["parts"]):
            octets = (part["content"] or "").encode()
            if part["content_url"]:
                octets = self.gateway.fetch(part["content_url"])
            # Names come from strangers; only their ends are of use.
            file = self.media / ("%s-%d%s" % (message["id"], place, mimetypes.guess_extension(part["content_type"]) or ""))
            file.write_bytes(octets)
            print("part %s %d %s" % (part["content_type"], len(octets), file), flush=True)
        if message["ack_requested"]:
            self.answer("ack", message)
        if message["dr_requested"]:
            self.answer("dr", message)

    def answer(self, kind, message):
        self.gateway.call("POST", "/mms/inbound/%s/%s" % (kind, message["id"]), {"status": "200"})
        print("answered %s %s" % (kind, message["id"]), flush=True)


def serve(gateway, options):
    inbox = Inbox(gateway, options.media)
    routes = {"/events": Inbox.event, "/messages": Inbox.message}

    class Callbacks(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"] or -1)
            if self.path not in routes or not 0 <= length <= LARGEST:
                return self.reply(404)
            body = self.rfile.read(length)
            try:
                webhook.verify(options.secret, self.headers, body)
            except ValueError as error:
                print("refused: %s" % error, file=sys.stderr, flush=True)
                return self.reply(401)
            inbox.take(self.headers["webhook-id"], routes[self.path], json.loads(body))
            self.reply(204)

        def reply(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    options.media.mkdir(parents=True, exist_ok=True)
    host, _, port = options.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Callbacks)
    threading.Thread(target=inbox.work, daemon=True).start()
    print("listening on %s:%d" % server.server_address[:2], flush=True)
    server.serve_forever()


LARGEST = 16 * 1024 * 1024


def main():
    parser = argparse.ArgumentParser(description="A small MMS application on top of mmsgw.")
    parser.add_argument("--api", default=os.environ.get("MMSGW_API", "http://127.0.0.1:8080"))
    commands = parser.add_subparsers(required=True)
    sending = commands.add_parser("send", help="send a message")
    sending.add_argument("--to", action="append", required=True, metavar="NUMBER")
    sending.add_argument("--origin", default="54321", metavar="NUMBER")
    sending.add_argument("--subject")
    sending.add_argument("--text")
    sending.add_argument("--file", action="append", default=[], type=Path)
    sending.add_argument("--gateway", metavar="GROUP")
    sending.set_defaults(command=send)
    serving = commands.add_parser("serve", help="take callbacks")
    serving.add_argument("--listen", default="127.0.0.1:8090", metavar="ADDRESS")
    serving.add_argument("--media", default=Path("media"), type=Path, metavar="DIRECTORY")
    serving.add_argument("--secret", default=os.environ.get("MMSGW_CALLBACK_SECRET"), help="whsec_…, or in MMSGW_CALLBACK_SECRET")
    serving.set_defaults(command=serve)
    options = parser.parse_args()
    if options.command is serve and not options.secret:
        parser.error("serve needs the secret that callbacks are signed with")
    options.command(Gateway(options.api, os.environ.get("MMSGW_API_KEY")), options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
