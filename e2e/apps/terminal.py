"""A terminal for a program: python3 terminal.py PROGRAM ARGUMENT...

Reads orders from standard input, a line each, and answers with a line of JSON where there is something to answer:

    show               what the screen shows
    size COLUMNS ROWS  another size; the screen is empty until the program draws anew
    terminate          sends the program SIGTERM
    keys HEX           octets that a person types
    end                waits until the program ends: its exit code, whether it left the terminal as it found it, and the
                       last it wrote
"""
import codecs, fcntl, json, os, pty, re, struct, subprocess, sys, termios, threading

ours, theirs = pty.openpty()
lock, ended = threading.Lock(), threading.Event()
END = b"[the program has ended]"
TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|[^\x1b]", re.S)


class Screen:
    """As much of ECMA-48 as a program needs that draws the whole screen."""

    def __init__(self, columns, rows):
        self.row = self.column = 0
        self.lines = [[" "] * columns for _ in range(rows)]
        self.rest = self.tail = ""

    def write(self, text):
        self.tail = (self.tail + text)[-4000:]
        text = self.rest + text
        cut = text.rfind("\x1b", max(0, len(text) - 30))
        whole = cut < 0 or re.match(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[^\[]", text[cut:])
        self.rest, text = ("", text) if whole else (text[cut:], text[:cut])
        for token in TOKEN.finditer(text):
            parameters, final = token.group(1), token.group(2)
            if final == "H":
                row, _, column = parameters.partition(";")
                self.row, self.column = int(row or 1) - 1, int(column or 1) - 1
            elif final == "J":
                self.lines = [[" "] * len(line) for line in self.lines]
            elif token.group() == "\r":
                self.column = 0
            elif token.group() == "\n":
                self.row += 1
            elif not token.group().startswith("\x1b"):
                if self.row < len(self.lines) and self.column < len(self.lines[self.row]):
                    self.lines[self.row][self.column] = token.group()
                self.column += 1

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.lines)


def size(columns, rows):
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return Screen(columns, rows)


def copy():
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while octets := os.read(ours, 65536):
        with lock:
            screen.write(decoder.decode(octets))
            if END.decode() in screen.tail:
                ended.set()


def answer(value):
    print(json.dumps(value), flush=True)


screen = size(120, 40)
before = termios.tcgetattr(theirs)
program = subprocess.Popen(
    sys.argv[1:], stdin=theirs, stdout=theirs, stderr=theirs,
    start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
)
threading.Thread(target=copy, daemon=True).start()
for line in sys.stdin:
    word, *rest = line.split()
    if word == "show":
        with lock:
            answer(screen.text())
    elif word == "size":
        with lock:
            # The program is told by the terminal.
            screen = size(*map(int, rest))
    elif word == "keys":
        os.write(ours, bytes.fromhex(rest[0]))
    elif word == "terminate":
        program.terminate()
    elif word == "end":
        code = program.wait()
        restored = termios.tcgetattr(theirs) == before
        # What the program wrote last comes before this.
        os.write(theirs, END)
        ended.wait(60)
        with lock:
            answer({"code": code, "restored": restored, "tail": screen.tail})
