"""`fgstp-edge report DIR`: what a flight or a shift has found, as one HTML file that needs no network, and as GeoJSON.

DIR is what `segment` wrote (`events.jsonl`, with `--geojson` `flight.geojson`, with `--evidence` `leaks/`), or a
device's evidence folder. `reading` takes it in, `sketch` draws, `film` makes clips small, `page` writes.
"""

from __future__ import annotations

import json
from pathlib import Path

from edge.errors import StorageError
from edge.geo import geojson
from edge.report import page, reading
from edge.report.reading import Flight


def write(folder: Path) -> tuple[Path, Flight]:
    """Write `report.html` and `report.geojson` into the folder; gives the first, and what it reports. Raises
    StorageError."""
    flight = reading.read(folder)
    html, places = folder / "report.html", folder / "report.geojson"
    try:
        html.write_text(page.render(flight), encoding="utf-8")
        places.write_text(json.dumps(on_the_map(flight)) + "\n", encoding="utf-8")
    except OSError as error:
        where = error.filename or folder
        raise StorageError(f"{where}: cannot write: {error.strerror}; check space and rights") from error
    return html, flight


def on_the_map(flight: Flight) -> geojson.Feature:
    """The flight as GeoJSON: the way, and every leak with the number that its incident has in the report."""
    features = [feature for way in flight.ways for feature in geojson.track(way.places, way.times, way.camera)]
    for number, incident in enumerate(flight.incidents, 1):
        for leak in incident.leaks:
            features += geojson.leak(leak.best, number)
    return geojson.collection(features)
