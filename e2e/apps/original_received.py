"""An application of the original gateway that receives: an HTTP server with the routes mms_event and mms_received.

For each message it posts an acknowledgement, a delivery report and a read report back. Prints a JSON line for each
message and each answer of the gateway, and ends after as many messages as its second argument says. Standard
library only.
"""

import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

BASE = sys.argv[1].rstrip("/")
WANTED = int(sys.argv[2])
PORT = int(sys.argv[3])
RECEIVED = Queue()


def mms_event(event):
    assert event["message"] and event["state"], event


def mms_received(message):
    RECEIVED.put(message)


ROUTES = {"/mms_event": mms_event, "/mms_received": mms_received}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        route = ROUTES.get(self.path)
        if route:
            route(json.loads(body))
        self.send_response(200 if route else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def answer(kind, message, number):
    """Tells the sender's side, through the gateway, about one number."""
    body = {
        "gateway": message["gateway"],
        "message": message["id"],
        "event_for": message["origin"],
        "provider_ref": message["provider_ref"],
        "peer_ref": message["peer_ref"],
        "status": "200",
        "description": "Ok",
        "applies_to": number,
    }
    request = urllib.request.Request(BASE + "/mms/inbound/" + kind + "/" + message["id"],
                                     json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        print(json.dumps({"kind": kind, "message": message["id"], "status": reply.status}), flush=True)


server = ThreadingHTTPServer(("127.0.0.1", PORT), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in range(WANTED):
    message = RECEIVED.get(timeout=80)
    assert message["direction"] == 1 and message["template"]["parts"], message
    numbers = message["destination"].split(",")
    print(json.dumps({"received": message["template"]["subject"], "numbers": numbers}), flush=True)
    if message["ack_requested"]:
        answer("ack", message, numbers)
    for kind in ("dr", "rr"):
        if message[kind + "_requested"]:
            answer(kind, message, numbers)
