"""Makes things that an API can be asked about, and writes a description that knows them: for scripts/api-fuzz.

    api-fuzz.py API OPERATIONS KEY CARRIER_CONTROL CALLBACK_PORT DIRECTORY

A description in OpenAPI cannot say which ids, gateways and numbers there are, so that whatever it makes up is refused at the
door. In DIRECTORY/known.json the parameters and fields concerned may also be those of real things; all else is as the gateway
says it, in api.json beside. Where administration has a description, that is in admin.json.
"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

api, ops, key, control, port, directory = sys.argv[1:]
received = []
BATCH = "/mmsgw/v1/mms/outbound/{id}/batch"
NUMBERS = ["+15555550102", "+15555550103"]


class Callback(BaseHTTPRequestHandler):
    def do_POST(self):
        received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def call(url, body=None):
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Bearer " + key)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(what, look):
    for _ in range(300):
        try:
            if found := look():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("waited in vain for " + what)


server = HTTPServer(("127.0.0.1", int(port)), Callback)
threading.Thread(target=server.serve_forever, daemon=True).start()
def write(name, document):
    with open(directory + "/" + name, "w") as file:
        json.dump(document, file)


document = until("the API", lambda: call(api + "/mmsgw/v1/openapi.json"))

write("api.json", document)
try:
    write("admin.json", call(ops + "/admin/v1/openapi.json"))
except urllib.error.HTTPError as error:
    if error.code != 404:
        raise

picture = {"name": "dot.gif", "content_type": "image/gif", "encoding": "base64",
           "content": "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"}
text = {"name": "hello.txt", "content_type": "text/plain", "content": "Hello"}
templates = [call(api + "/mmsgw/v1/mms", {"origin": "54321", "parts": [text, picture]}) for _ in range(60)]
parts = [call(api + "/mmsgw/v1/mms_part", text)["id"] for _ in range(3)]
messages = [call(api + "/mmsgw/v1/mms/outbound/" + templates[0]["id"], {"destination": NUMBERS})["id"] for _ in range(60)]
batches = []
if BATCH in document["paths"]:
    items = [{"destination": number} for number in NUMBERS]
    batches = [call(api + BATCH.format(id=one["id"]), items)["id"] for one in templates[:3]]
letter = {"from": "+15555550150", "to": ["+15555550160"], "text": "hello", "ack": True, "dr": True, "rr": True}
call(control + "/mo", {"protocol": "mm4", "message": letter})
inbound = until("a message from the carrier", lambda: [one["id"] for one in received if one.get("direction") == 1])
templates_ids = [one["id"] for one in templates]
url = next(part["content_url"] for part in templates[0]["parts"] if part["content_url"])
digest, _, name = url.rpartition("/media/")[2].partition("/")


def known(path, method, name_of_parameter):
    if name_of_parameter == "digest":
        return [digest]
    if name_of_parameter == "name":
        return [name]
    if name_of_parameter != "id":
        return []
    if path.startswith("/mmsgw/v1/batches/"):
        return batches
    if path.startswith("/mmsgw/v1/mms_part/"):
        return parts
    if "/inbound/" in path:
        return inbound
    if "/outbound/" in path:
        return templates_ids if method == "post" else messages
    return templates_ids


def also(schema, values):
    return {"anyOf": [{"enum": values}, schema]} if values else schema


for path, item in document["paths"].items():
    for method, operation in item.items():
        for parameter in operation.get("parameters", []) if isinstance(operation, dict) else []:
            if parameter["in"] == "path":
                parameter["schema"] = also(parameter["schema"], known(path, method, parameter["name"]))
soon = int(time.time())
fields = {
    "gateway": ["east", "west"], "origin": ["54321"], "destination": NUMBERS, "cc": NUMBERS, "bcc": NUMBERS,
    "earliest_delivery": [soon + 3600], "latest_delivery": [soon + 7200], "expire_after": [9000],
    "content_type": ["text/plain"], "content_url": ["http://127.0.0.1:9/a.jpg"], "events_url": ["http://127.0.0.1:9/"],
    "charged_party_id": ["+15555550109"], "linked_id": ["before"],
}
for schema in document["components"]["schemas"].values():
    for field in fields.keys() & schema.get("properties", {}).keys():
        schema["properties"][field] = also(schema["properties"][field], fields[field])
write("known.json", document)
