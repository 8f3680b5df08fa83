"""The frame of all pages: the templates of the site, and the menu."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from latentarena.arena.pages import templates
from latentarena.contest.contest import Contest
from latentarena.web.assets import asset
from latentarena.web.routing import MenuLink, Role
from latentarena.web.views import short, timeline, tone

TEMPLATES = templates(Path(__file__).parent / "templates")
TEMPLATES.globals.update(asset=asset)


def _code(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    parts = [
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def _sentence(text: str) -> Markup:
    """A message as a sentence, with its code marked."""
    return _code(text[:1].upper() + text[1:])


TEMPLATES.filters |= {"code": _code, "sentence": _sentence, "short": short, "timeline": timeline, "tone": tone}


@dataclass(frozen=True)
class PageFrame:
    """The frame around every page of a contest's site; `menu` are the links of all parts, in order."""

    contest: Contest
    menu: tuple[MenuLink, ...] = ()

    def render(self, template: str, role: Role, here: str, **context: Any) -> str:
        """A page for callers of a role, `here` being its address."""
        links = [one for one in self.menu if role in one.roles]
        shared = {"navigation": [one for one in links if not one.tab], "tabs": [one for one in links if one.tab]}
        made = TEMPLATES.get_template(template)
        return made.render(contest=self.contest, role=role, here=here, **shared, **context)
