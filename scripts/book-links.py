"""Checks the links between the pages of a book: book-links.py DIRECTORY. Ends with 1 where one leads nowhere."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Where a page links to, and what can be linked to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.links.update(attrs[name] for name in ("href", "src") if attrs.get(name))


def fault(root, pages, here, link):
    """What is wrong with a link, or None."""
    url = urlsplit(link)
    if url.scheme or url.netloc:
        return None
    start = root if url.path.startswith("/") else here.parent
    target = (start / unquote(url.path).lstrip("/")).resolve() if url.path else here
    if not target.exists():
        return "leads nowhere"
    if url.fragment and target in pages and unquote(url.fragment) not in pages[target].ids:
        return "has no such heading"
    return None


def main():
    root = Path(sys.argv[1]).resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in root.rglob("*.html")}
    faults = 0
    for here, page in sorted(pages.items()):
        for link in sorted(page.links):
            if why := fault(root, pages, here, link):
                print(f"{here.relative_to(root)}: {link} {why}", file=sys.stderr)
                faults += 1
    links = sum(len(page.links) for page in pages.values())
    print(f"{len(pages)} pages, {links} links, {faults} of them broken")
    sys.exit(faults > 0)


main()
