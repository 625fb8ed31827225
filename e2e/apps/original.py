"""An application of the original gateway: templates, parts, sending, polling, and an mms_event callback server.

Prints a PASS line for each thing that works. Standard library only.
"""

import base64
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE = sys.argv[1].rstrip("/")
EVENTS = []
STATES = {"SCHEDULED", "SENT", "FORWARDED", "ACKNOWLEDGED", "DELIVERED", "FAILED", "UNDEFINED", "READ"}


class Callbacks(BaseHTTPRequestHandler):
    """POST /mms_event: an event of a message."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.path == "/mms_event" and self.headers["Content-Type"].startswith("application/json")
        if known:
            EVENTS.append(json.loads(body))
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def call(method, path, body=None):
    """Status, headers and JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return answer.status, answer.headers, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


def wait(what, look):
    for _ in range(900):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain for " + what)


def passed(name):
    print("PASS " + name, flush=True)


def equal(got, wanted):
    assert got == wanted, "%r instead of %r" % (got, wanted)


server = ThreadingHTTPServer(("127.0.0.1", 0), Callbacks)
threading.Thread(target=server.serve_forever, daemon=True).start()
CALLBACK = "http://127.0.0.1:%d/mms_event" % server.server_port
PICTURE = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20).decode()
NOW = int(time.time())

TEMPLATE = {
    "origin": "54321",
    "show_sender": True,
    "latest_delivery": NOW + 86400,
    "expire_after": 3600,
    "message_class": "informational",
    "content_class": "image-basic",
    "charged_party": "sender",
    "drm": False,
    "content_adaptation": True,
    "can_redistribute": True,
    "subject": "Compatible",
    "parts": [
        {"content_name": "hello.txt", "content_type": "text/plain", "content": "Hello"},
        {"content_name": "show.smil", "content_type": "application/smil",
         "content": "<smil><body><par><text src=\"hello.txt\"/></par></body></smil>"},
    ],
}

status, headers, template = call("POST", "/mms", TEMPLATE)
equal(status, 201)
path = "/mms/" + template["id"]
assert headers["Location"].endswith("/mmsgw/v1" + path), headers["Location"]
for name in TEMPLATE:
    if name != "parts":
        equal(template[name], TEMPLATE[name])
equal([part["content_name"] for part in template["parts"]], ["show.smil", "hello.txt"])
passed("create template")

equal(call("GET", path)[2], template)
passed("read template")

status, _, changed = call("PUT", path, {"subject": "Compatible & more", "expire_after": 7200, "parts": [
    {"name": "bye.txt", "content_type": "text/plain", "content": "Bye"}]})
equal(status, 200)
equal((changed["subject"], changed["expire_after"], changed["origin"]), ("Compatible & more", 7200, "54321"))
equal([part["name"] for part in changed["parts"]], ["show.smil", "hello.txt", "bye.txt"])
passed("change template")

status, _, changed = call("PUT", path, {"parts": [None, {"name": "p.jpg", "content_type": "image/jpeg",
                                                         "encoding": "base64", "content": PICTURE}]})
equal((status, [part["name"] for part in changed["parts"]]), (200, ["p.jpg"]))
passed("empty and refill parts")

status, headers, part = call("POST", "/mms_part", {"name": "own.txt", "content_type": "text/plain", "content": "own"})
equal(status, 201)
assert headers["Location"].endswith("/mms_part/" + part["id"]), headers["Location"]
equal(call("GET", "/mms_part/" + part["id"])[2]["content"], "own")
passed("create part")

status, _, changed = call("PUT", path, {"parts": [part["id"]]})
equal((status, [one["name"] for one in changed["parts"]]), (200, ["p.jpg", "own.txt"]))
passed("part in template")

status, headers, message = call("POST", "/mms/outbound/" + template["id"], {
    "destination": "+15555550102,15555550103", "cc": "+15555550104", "bcc": "+15555550105",
    "gateway": "mm7", "priority": "high", "linked_id": "before", "origin": "54322", "events_url": CALLBACK})
equal(status, 202)
where = "/mms/outbound/" + message["id"]
assert headers["Location"].endswith(where), headers["Location"]
equal(message["direction"], -1)
equal((message["destination"], message["cc"], message["bcc"]), ("+15555550102,15555550103", "+15555550104", "+15555550105"))
equal((message["origin"], message["priority"], message["linked_id"]), ("54322", "high", "before"))
equal(message["gateway"], "mm7")
assert CALLBACK in message["events_url"].split(","), message["events_url"]
equal(message["template"]["id"], template["id"])
equal([(event["code"], event["state"], event["destinations"]) for event in message["events"]], [("200", "SCHEDULED", "*")])
for name in ("peer_ref", "last_tran_id", "ack_at_addr", "gateway_id", "relay_server", "ua_caps", "reply_charging_id",
             "handling_app", "reply_to_app", "app_info", "ack_requested", "dr_requested", "rr_requested",
             "created_ts", "processed_ts"):
    assert name in message, name
assert abs(message["created_ts"] - NOW) < 600
passed("send template")


def has(state, count=1):
    def look():
        events = call("GET", where)[2]["events"]
        return events if sum(event["state"] == state for event in events) >= count else None
    return look


for state in ("SENT", "ACKNOWLEDGED"):
    wait(state, has(state))
for state in ("DELIVERED", "READ"):
    events = wait(state, has(state, 4))
assert {event["state"] for event in events} <= STATES, events
for event in events:
    assert set(event) >= {"code", "state", "description", "timestamp", "gateway", "destinations"}, event
    assert isinstance(event["code"], str) and isinstance(event["timestamp"], int), event
told = {number for event in events if event["state"] == "READ" for number in event["destinations"].split(",")}
equal(told, {"+15555550102", "15555550103", "+15555550104", "+15555550105"})
message = call("GET", where)[2]
assert message["peer_ref"] and message["last_tran_id"] and message["gateway_id"].startswith("mm7:"), message
assert message["processed_ts"] >= message["created_ts"], message
passed("states of a message to many")

TEMPLATE.update(subject="At once", send={"destination": ["+15555550102"], "gateway": "mm4", "events_url": [CALLBACK]})
status, _, at_once = call("POST", "/mms", TEMPLATE)
equal((status, at_once["direction"], at_once["template"]["subject"]), (202, -1, "At once"))
passed("create and send at once")


def callbacks(message_id, *states):
    def look():
        mine = [event for event in EVENTS if event["message"] == message_id]
        return mine if {event["state"] for event in mine} >= set(states) else None
    return look


for message_id in (message["id"], at_once["id"]):
    mine = wait("callbacks", callbacks(message_id, "SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"))
    for event in mine:
        assert set(event) >= {"message", "code", "state", "description", "timestamp", "gateway", "destinations"}, event
passed("callbacks")

for body, fault in [({"destination": "nobody"}, "/destination"), ({}, "/destination"),
                    ({"destination": "+15555550102", "gateway": "none"}, "/gateway"),
                    ({"destination": "+15555550102", "prio": "high"}, "/prio")]:
    status, headers, problem = call("POST", "/mms/outbound/" + template["id"], body)
    assert 400 <= status < 500 and headers["Content-Type"].startswith("application/problem+json"), status
    equal(problem["errors"][0]["pointer"], fault)
assert 400 <= call("PUT", path, {"send": {"destination": "+15555550102"}})[0] < 500
equal(call("GET", "/mms/outbound/nonsense")[0], 404)
passed("refusals")

equal(call("DELETE", path)[0], 204)
equal(call("GET", path)[0], 404)
equal(call("DELETE", path)[0], 404)
equal(call("GET", where)[0], 200)
passed("delete template")
