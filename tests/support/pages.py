"""What a browser would find in a page, for the tests of pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text.append(data.strip())

    def assert_offline(self) -> None:
        """Neither network nor scripts, and every picture is described in words of its own."""
        wanted = [
            value
            for _, attributes in self.tags
            for name, value in attributes.items()
            if name in ("src", "href", "srcset")
        ]
        assert wanted
        assert [address[:40] for address in wanted if not address.startswith("data:image/png;base64,")] == []
        assert {"script", "link", "iframe", "object", "base"}.isdisjoint(tag for tag, _ in self.tags)
        assert [name for _, attributes in self.tags for name in attributes if name.startswith("on")] == []
        assert "url(" not in self.source
        assert "@import" not in self.source
        described = [attributes.get("alt", "") for tag, attributes in self.tags if tag == "img"]
        assert len(described) >= 6
        assert all(described)
        assert len(set(described)) == len(described)
