"""What mmsgw is measured beside: Postfix, its source and sink of mails, and wrk. They are real programs of Debian's
packages `postfix` and `wrk`; each gets files of its own and listens on loopback."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

SESSIONS = 20
"""Sessions of smtp-source: more make Postfix no faster here."""


def free_ports(count):
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def await_listener(port, limit=30):
    """Waits until something listens on a port."""
    end = time.monotonic() + limit
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@contextmanager
def running(*command, **more):
    """A process that ends with the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def source(port, mail, count, sessions=SESSIONS):
    """Hands `count` mails to a port, and tells how long that took."""
    begun = time.monotonic()
    subprocess.run(
        ["smtp-source", "-s", str(sessions), "-m", str(count), "-F", str(mail), "-f", "system-user@mms.gw.example"]
        + ["-t", "system-user@mms.sim.example", f"127.0.0.1:{port}"],
        check=True,
    )
    return time.monotonic() - begun


@contextmanager
def sink():
    """smtp-sink, which takes mails and forgets them."""
    [port] = free_ports(1)
    with running("smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"):
        await_listener(port)
        yield port


class Postfix:
    """A Postfix with a queue on disk that hands all mail on to `next_port`."""

    def __init__(self, base, next_port):
        self.base = Path(base)
        [self.port] = free_ports(1)
        self.base.chmod(0o755)
        for name in ("conf", "queue", "data"):
            (self.base / name).mkdir()
        shutil.chown(self.base / "data", "postfix")
        (self.base / "conf/main.cf").write_text(MAIN.format(base=base, next=next_port))
        (self.base / "conf/master.cf").write_text(MASTER.format(port=self.port))

    def __enter__(self):
        log = (self.base / "log").open("wb")
        self.process = subprocess.Popen(
            ["postfix", "-c", str(self.base / "conf"), "start-fg"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        await_listener(self.port)
        return self

    def __exit__(self, *_):
        subprocess.run(["postfix", "-c", str(self.base / "conf"), "stop"], capture_output=True)
        self.process.wait()

    def queued(self):
        """Mails that it has and has not handed on."""
        queues = (self.base / "queue" / name for name in ("incoming", "active", "deferred"))
        return sum(len(files) for queue in queues for _, _, files in os.walk(queue))

    def log(self):
        """What it logs."""
        return (self.base / "log").read_text(errors="replace")


# Given what helps it: no look-ups, connections kept, many processes, and a log that only its own master writes.
MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = /dev/stdout
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{next}
alias_maps =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
default_process_limit = 100
default_destination_concurrency_limit = 50
initial_destination_concurrency = 20
smtp_connection_cache_on_demand = yes
in_flow_delay = 0
"""

MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
smtp      unix - - n - - smtp
scache    unix - - n - 1 scache
anvil     unix - - n - 1 anvil
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
proxymap  unix - - n - - proxymap
tlsmgr    unix - - n 1000? 1 tlsmgr
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
showq     unix n - n - - showq
postlog   unix-dgram n - n - 1 postlogd
"""


def postfix_rates(mail, count, limit=600):
    """Mails a second that Postfix accepts, and those that it has handed on to a sink by the end: each is on disk
    before it says yes."""
    with tempfile.TemporaryDirectory() as base, sink() as next_port, Postfix(base, next_port) as postfix:
        source(postfix.port, mail, SESSIONS)  # warms it up: its processes start with the first mails
        begun = time.monotonic()
        accepted = source(postfix.port, mail, count)
        while postfix.queued():
            if time.monotonic() - begun > limit:
                raise RuntimeError("Postfix did not hand on all mails:\n" + postfix.log()[-4000:])
            time.sleep(0.05)
        relayed = time.monotonic() - begun
        sent = postfix.log().count("status=sent")
        if sent < count:
            raise RuntimeError(f"Postfix handed on {sent} of {count} mails")
        return count / accepted, count / relayed


def source_to_sink_rate(mail, count):
    """Mails a second from smtp-source to smtp-sink: nothing is stored."""
    with sink() as port:
        source(port, mail, SESSIONS)
        return count / source(port, mail, count)


def wrk_rate(url, content_type, body, seconds=5, connections=64):
    """Requests a second that wrk posts, one thread, the next when the answer is there."""
    with tempfile.TemporaryDirectory() as base:
        octets, script = Path(base, "body"), Path(base, "post.lua")
        octets.write_bytes(body)
        script.write_text(
            f'wrk.method = "POST"\nlocal f = io.open("{octets}", "rb")\nwrk.body = f:read("*a")\n'
            f"wrk.headers[\"Content-Type\"] = [[{content_type}]]\n"
        )
        told = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", told)
    if refused:
        raise RuntimeError(f"wrk was refused: {refused[0]}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])
