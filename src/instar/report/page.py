"""A run as one HTML file that needs nothing else: no server, no network, no second file.

What models and documents wrote is untrusted. Jinja escapes it where it becomes HTML; as data it lies in a JSON script
element in which no ``<`` is left, and the page's own script puts it into text nodes alone. Should all that fail, the
page's Content-Security-Policy lets no script run but the three whose hashes it names, and nothing is ever fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar import __version__
from instar.errors import ConfigError
from instar.report.facts import facts
from instar.report.policies import short
from instar.report.verdict import interval, percent, signed, tells_reading

if TYPE_CHECKING:
    from jinja2 import Environment, Template

FOR_SCRIPT = ("sealed", "answers", "exam", "policies", "descent", "run")
"""Facts that the page's script needs too; the rest is HTML already."""


def write_report(folder: Path, out: Path) -> Path:
    """Write the report of a run to ``out`` and return it; a file that is there is replaced when the new one is whole.

    Raises:
        StoreError: there is no ledger in ``folder``.
        ConfigError: the extra ``report`` is not installed.
    """
    text = report(facts(folder))
    new = out.with_name(f".{out.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(out)
    return out


def report(found: dict[str, Any]) -> str:
    """The whole report of ``facts`` as HTML text."""
    scripts = {name: asset(name) for name in ("theme.js", "plotly.min.js", "page.js")}
    hashes = " ".join(f"'sha256-{_sha256(s)}'" for s in scripts.values())
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return template("report.html.j2").render(
        f=found, data=script_json(page_data(found)), scripts=scripts, style=asset("page.css"), policy=policy
    )


def body(found: dict[str, Any]) -> str:
    """What a live page shows of a run: the sections of the report."""
    return template("run.html.j2").render(f=found)


def page_data(found: dict[str, Any]) -> dict[str, Any]:
    """What the page's script works with: charts, the rows to filter, the policies they went into."""
    judged = [
        {"round": r["round"], "gates": [{"promoted": g["promoted"], "gains": g["gains"]} for g in r["gates"]]}
        for r in found["rounds"]
    ]
    spent = {"seconds": found["seconds"], "tokens": found["tokens"]}
    return {**{k: found[k] for k in FOR_SCRIPT}, "rounds": judged, "time": spent}


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: no ``<``, ``>`` or ``&`` ends it early, whatever a text says."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(char, f"\\u{ord(char):04x}")
    # a lone surrogate, as a broken decoder may leave one, has no UTF-8 form
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def asset(name: str) -> str:
    """A style or script of the page; plotly's comes with its Python package."""
    if name != "plotly.min.js":
        return files("instar.report").joinpath("assets", name).read_text(encoding="utf-8")
    try:
        return files("plotly").joinpath("package_data", name).read_text(encoding="utf-8")
    except ModuleNotFoundError:
        raise not_installed("plotly") from None


@cache
def environment() -> Environment:
    """The templates, every value escaped. Raises ConfigError where Jinja is not installed."""
    try:
        import jinja2
    except ModuleNotFoundError:
        raise not_installed("jinja2") from None
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("instar.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "percent": percent, "signed": signed, "interval": interval, "short": short, "clock": clock, "number": number,
        "day": lambda at: time.strftime("%Y-%m-%d %H:%M", time.localtime(at)),
        "json": lambda v: json.dumps(v, indent=1, ensure_ascii=False, default=str),
    }  # fmt: skip
    made.globals |= {
        "tells_reading": tells_reading,
        "version": __version__,
        "yet": lambda f: "" if f.get("status") == "finished" else " yet",
    }
    return made


def template(name: str) -> Template:
    """A template of the report by its file's name."""
    return environment().get_template(name)


def not_installed(package: str) -> ConfigError:
    """The error where an optional library is missing, with the line that installs it."""
    return ConfigError(f"reports need {package}, which is not installed.", "pip install 'instar[web]'")


def clock(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def number(value: Any) -> str:
    """A count with its thousands, a fraction with four places at most, a dash for what is not known."""
    if value is None:
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return f"{int(value):,}"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
