"""From values to one self-contained file: embedded JSON and scripts, and a policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from mbo_search.report.style.palette import DARK, LIGHT

SCRIPT_PARTS = (
    "address",
    "theme",
    "selection",
    "colors",
    "controls",
    "lines",
    "crowd",
    "labels",
    "marks",
    "figures",
    "tables",
    "bench",
    "start",
)
"""The parts of the page's script, each an idea of its own, in the order in which they run."""


def embedded_json(value: object) -> Markup:
    """JSON that may stand inside a script element, whatever it holds.

    Every character that could end the element, open a comment or an entity, or end a line in old scripts is written
    as an escape; the JSON means the same.

    >>> print(embedded_json({"name": "</script>"}))
    {"name":"\\u003c/script\\u003e"}
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # Safe: no character of the text can leave the element that it stands in.
    return Markup(text)


def with_code(text: str) -> Markup:
    """Text with the parts between backticks as code; everything is escaped.

    >>> print(with_code("Run `mbo-search rank DIR` <now>"))
    Run <code>mbo-search rank DIR</code> &lt;now&gt;
    """
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


def content_policy(scripts: Sequence[str], same_origin: Sequence[str] = ()) -> str:
    """A policy that runs exactly the given scripts and lets nothing be requested from anywhere.

    Args:
        scripts: The scripts.
        same_origin: Directives, such as `connect-src`, that may reach the server that the page came from.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {hashes}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            *(f"{directive} 'self'" for directive in same_origin),
        ]
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def render_page(template: str, values: Mapping[str, object]) -> str:
    """Fill a template; styles, scripts and the policy come with it."""
    own = _script()
    plotly = get_plotlyjs()
    page: str = (
        _environment()
        .get_template(template)
        .render(
            **values,
            policy=content_policy([plotly, own]),
            # Safe: these are the package's own files, not values of a study.
            plotly_script=Markup(plotly),
            own_script=Markup(own),
            style=Markup(_style()),
            palettes={"light": dict(LIGHT), "dark": dict(DARK)},
        )
    )
    return page


def render_fragment(template: str, values: Mapping[str, object]) -> str:
    """Fill a template that is shown within somebody else's page."""
    fragment: str = _environment().get_template(template).render(**values)
    return fragment


def _style() -> str:
    return theme_style() + asset("page.css") + asset("work.css")


def theme_style() -> str:
    """The colors of both themes as variables of a style sheet."""
    light, dark = (_variables(colors) for colors in (LIGHT, DARK))
    return (
        f":root{{{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
        f":root[data-theme=dark]{{{dark}}}\n"
        # Paper is light, also where no script says so.
        f"@media print{{:root:root:root{{{light}}}}}\n"
    )


def _variables(colors: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colors.items())


def _script() -> str:
    """The parts of the page's script, which share one closure, so that nothing of it is seen from outside."""
    parts = "\n".join(asset(f"script/{name}.js") for name in SCRIPT_PARTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def asset(name: str) -> str:
    """The text of a file of the package that goes into pages as it is."""
    return (resources.files("mbo_search.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mbo_search.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded_json
    environment.filters["with_code"] = with_code
    return environment
