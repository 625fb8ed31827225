"""Instructions that the gateway executes for one message, as callgrind counts them.

Two runs of a workload that differ only in the number of messages: what the second one needs more, divided by the
messages that it has more. Start, stop and warming up drop out, and so does whoever else uses the machine. Work of the
kernel is not counted.
"""

import os
import re
import stat
import subprocess
import tempfile
import time
from pathlib import Path

# The benchmark ends its processes by force. The gateway is a child of what it ends, is told so, and ends in good order,
# which is when callgrind writes. Carriers run as they are.
WRAPPER = """\
#!/bin/sh
case "$1" in
  serve) setpriv --pdeathsig TERM valgrind --quiet --tool=callgrind --callgrind-out-file={out}/%p {binary} "$@" ;;
  *) exec {binary} "$@" ;;
esac
"""


def count(bench, binary, workload, messages):
    """Instructions of a run of the benchmark `bench` with so many messages."""
    with tempfile.TemporaryDirectory() as base:
        wrapper = Path(base, "mmsgw")
        wrapper.write_text(WRAPPER.format(out=base, binary=Path(binary).resolve()))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        arguments = ["--binary", wrapper, "--messages", messages, "--connections", 8, "--limit", 900]
        subprocess.run([str(one) for one in (bench, workload, *arguments)], check=True, stdout=subprocess.DEVNULL)
        return max(totals(base))


def totals(base, limit=120):
    """The counts of all gateways of a run, once each has written its own."""
    end = time.monotonic() + limit
    while True:
        files = [file for file in Path(base).iterdir() if re.match(r"\d+$", file.name)]
        found = [re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE) for file in files]
        if found and all(found) and not any(alive(file.name) for file in files):
            return [int(one[1]) for one in found]
        if time.monotonic() > end:
            raise RuntimeError(f"callgrind wrote nothing for {[file.name for file in files]}")
        time.sleep(0.2)


def alive(pid):
    """Whether a process is there."""
    return os.path.exists(f"/proc/{pid}")


def per_message(bench, binary, workload, few=200, many=1200):
    """Instructions for each message of a workload."""
    counted = [count(bench, binary, workload, messages) for messages in (few, many)]
    return (counted[1] - counted[0]) / (many - few)
