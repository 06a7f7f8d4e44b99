"""The page: one file with everything in it. Its own policy forbids it to fetch anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from edge import __version__
from edge.report import film, sketch
from edge.report.reading import Flight, Incident, Leak

STYLE, SCRIPT = (Path(__file__).parent / name for name in ("page.css", "page.js"))
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
FILMS = 60  # clips in one page, the surest leaks' first; each adds some 0.5 MB


def render(flight: Flight) -> str:
    """The whole document. Raises OSError where evidence cannot be read."""
    filmed = {leak.id for leak in flight.leaks[:FILMS]}
    body = [*_head(flight), *_table(flight)]
    for number, incident in enumerate(flight.incidents, 1):
        body += _incident(number, incident, filmed)
    body += [_NOTES, _SIGNATURE]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>Leak report: {escape(flight.name)}</title>",
            f"<style>{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>",
            *body,
            f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>\n</body>\n</html>\n",
        ]
    )


def _head(flight: Flight) -> Iterator[str]:
    yield f"<h1>Leak report: {escape(flight.name)}</h1>"
    leaks = flight.leaks
    facts = [("Found", f"{_count(len(flight.incidents), 'incident')}, {_count(len(leaks), 'leak event')}")]
    if leaks:
        first, last = min(leak.seen[0] for leak in leaks), max(leak.seen[1] for leak in leaks)
        facts += [
            ("Cameras", ", ".join(sorted({str(leak.best["camera"]) for leak in leaks}))),
            ("First and last sighting", f"{_time(first)} to {_time(last)}"),
            *_provenance(leaks[0].steps[0].get("provenance")),
        ]
    yield _facts([*facts, ("Report made with", f"fgstp-edge {__version__}")])
    yield sketch.chart_of(flight) or "<p>No places: the camera's pose was not known.</p>"


def _provenance(made_by: dict[str, Any] | None) -> list[tuple[str, str]]:
    if made_by is None:
        return []
    clock = {True: "synchronised", False: "not synchronised", None: "not known"}[made_by["clock_synchronised"]]
    return [
        ("Model", f"{made_by['model']}, sha256 {made_by['model_sha256']}"),
        ("Software", f"fgstp-edge {made_by['software']}, settings {made_by['config_hash']}"),
        ("Clock", clock),
    ]


def _table(flight: Flight) -> Iterator[str]:
    if not flight.incidents:
        yield "<p>No leak was found.</p>"
        return
    names = ("", "Confidence", "Place (WGS84)", "95 % ellipse", "Sightings", "First seen", "Largest area")
    rows = [
        (
            f'<a href="#i{number}">{number}</a>',
            f"{one.confidence:.0%}",
            *(escape(text) for text in _place(one.place)),
            str(len(one.leaks)),
            escape(_time(one.leaks[0].seen[0])),
            f"{max(_share(leak) for leak in one.leaks):.2%} of view",
        )
        for number, one in enumerate(flight.incidents, 1)
    ]
    yield "<h2>Incidents, the surest first</h2><table><thead><tr>" + "".join(f"<th>{name}</th>" for name in names)
    yield "</tr></thead><tbody>"
    yield from ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    yield "</tbody></table>"


def _incident(number: int, incident: Incident, filmed: set[str]) -> Iterator[str]:
    yield f'<section id="i{number}"><h2>Incident {number}</h2>'
    for leak in incident.leaks:
        yield from _leak(leak, filmed=leak.id in filmed)
    yield "</section>"


def _leak(leak: Leak, *, filmed: bool) -> Iterator[str]:
    best, first = leak.best, leak.steps[0]
    where, ellipse = _place(best["location"])
    over = leak.steps[-1]["type"] == "end"
    reasons = sorted({reason for step in leak.steps for reason in step["reasons"]})
    facts = [
        ("Event", leak.id),
        ("Seen", f"{_time(leak.seen[0])}, for {best['duration_s'] or 0:.0f} s{'' if over else ' and longer'}"),
        ("Place (WGS84)", where),
        ("95 % ellipse", ellipse),
        ("Confidence", f"{leak.confidence:.0%}"),
        ("Largest area", f"{_share(leak):.2%} of the view, {best['peak_area_px']} px"),
        ("Quality", ", ".join(reasons) or "good"),
    ]
    if first.get("snapshot_sha256"):
        facts.append(("Still, sha256", first["snapshot_sha256"]))
    title = escape(f"{best['camera']}, {_time(leak.seen[0])}")
    yield f'<article><h3>{title}</h3><div class="pictures">'
    yield from _pictures(leak, filmed=filmed)
    yield f"</div>{_facts(facts)}{sketch.area_of(leak)}</article>"


def _pictures(leak: Leak, *, filmed: bool) -> Iterator[str]:
    if leak.evidence is None:
        return
    for name, caption in (("snapshot.jpg", "As seen"), ("overlay.jpg", "Outline, origin and drift")):
        file = leak.evidence / name
        if file.is_file():
            still = film.address(file.read_bytes())
            yield f'<figure><img src="{still}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    clip = leak.evidence / "clip.avi"
    if filmed and clip.is_file() and (frames := film.frames(clip)):
        yield (
            f'<figure class="film"><img src="{frames[0]}" alt="Clip">'
            f'<script type="application/json">{json.dumps(frames)}</script>'
            '<figcaption><button type="button">Play</button> '
            f'<input type="range" min="0" max="{len(frames) - 1}" value="0" aria-label="Frame"></figcaption></figure>'
        )


def _place(place: dict[str, Any] | None) -> tuple[str, str]:
    if place is None:
        return "not known", ""
    axes = f"{place['semi_major_m']:.1f} m x {place['semi_minor_m']:.1f} m, {place['azimuth_deg']:.0f}° from north"
    return f"{place['latitude']:.6f}, {place['longitude']:.6f}", f"semi-axes {axes}"


def _share(leak: Leak) -> float:
    return max(step["area_share"] or 0.0 for step in leak.steps)


def _time(iso: str) -> str:
    """As people read it; a recording that knows no wall clock counts from its beginning."""
    day, _, time = iso.rstrip("Z").partition("T")
    return f"{time[:8]} into the recording" if day == "1970-01-01" else f"{day} {time[:8]} UTC"


def _facts(facts: list[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in facts) + "</dl>"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


_NOTES = """<h2>How to read this</h2>
<p>An incident is every sighting at one place: within a few metres, or as far apart as the errors of both places
explain. The ellipse holds the true place in 95 of 100 cases if the camera's pose, lens and ground are known as well as
the configuration says, and if the leak lies on level ground; a source high above the ground appears too far from the
camera. Confidence is the model's mean probability of gas inside the outline; it says nothing of the amount. Mass flow
is not measured.</p>"""
_SIGNATURE = '<p class="sign">Inspector: <span></span> Date: <span></span> Remarks: <span class="wide"></span></p>'
