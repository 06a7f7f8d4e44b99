"""Result files on speed and scale as Markdown tables; `benchmarks.pages` puts them into the docs."""

from __future__ import annotations

from benchmarks.figures import Figures, interval, markdown, number, percent, untrained


def speed(result: Figures) -> str:
    """One row a combination."""
    rows = [
        ["", "picture", "threads", "instructions", "frames/s", "p50 ms", "p95 ms", "p99 ms", "host", "to FP32", "W"]
    ]
    rows.append(["---", "---", *["---:"] * 9])
    for one in result["results"]:
        whole = one["stages_ms"]["end_to_end"]
        rows.append(
            [
                f"{named(one)}, {one['backend']}",
                "x".join(map(str, one["size"])),
                str(one.get("threads", 1)),
                f"{one['isa']} ({', '.join(one['isa_in_force']['features']) or 'baseline'})",
                f"{one['fps']:.0f}",
                *(f"{whole[key]:.2f}" for key in ("p50", "p95", "p99")),
                percent(one["host_share"]),
                times(one.get("speed_against_fp32")),
                "–" if one.get("watts") is None else f"{one['watts']:.1f}",
            ]
        )
    first = result["results"][0]
    stages = ", ".join(
        f"{name} {found['p50']:.2f}" for name, found in first["stages_ms"].items() if name != "end_to_end"
    )
    text = f"Medians of the first row by stage, ms: {stages}."
    if first.get("first_mask_s") is not None:
        text += f" From the start of a process to its first mask: {first['first_mask_s']:.2f} s."
    if first.get("growth"):
        text += f" A frame leaves {first['growth']['python_bytes_per_frame']:.0f} bytes behind in Python's allocator."
    return f"{markdown(rows)}\n\n{text}"


def peers(result: Figures) -> str:
    """One row a method."""
    rows = [
        [
            "",
            "runtime",
            "precision",
            "input",
            "to the mask ms",
            "end to end ms",
            "frames/s",
            "ours is faster",
            "SimGas IoU",
        ],
        ["---", "---", "---", *["---:"] * 6],
    ]
    for one in result["results"]:
        found = one["quality"] or {}
        rows.append(
            [
                named(one) + (f": {one['note']}" if one["note"] else ""),
                one["runtime"],
                one["precision"],
                "x".join(map(str, one["input"])),
                *(figure(value) for value in (one["mask_ms"]["p50"], one["end_to_end_ms"]["p50"], one["fps"])),
                times(one["ours_times_faster"]["end_to_end"]),
                number(found.get("simgas_iou")),
            ]
        )
    return markdown(rows)


def roofline(result: Figures) -> str:
    """Ceilings and shares by combination, then the slowest layers of the first."""
    rows = [
        [
            "",
            "FP32 GMAC/s",
            "INT8 GMAC/s",
            "copy GB/s",
            "in cache",
            "MMAC",
            "ms",
            "convolutions of their ceiling",
            "all layers",
        ],
        ["---", *["---:"] * 8],
    ]
    for one in result["results"]:
        found = one["ceilings"]
        rows.append(
            [
                f"{one['model']}, {one['backend']}, {one['isa']}",
                *(f"{found[key]:.1f}" for key in ("fp32_gmacs", "int8_gmacs", "copy_gb_s", "cache_gb_s")),
                f"{one['mmac']:.0f}",
                f"{one['ms']:.2f}",
                percent(one["convolutions"]["share_of_ceiling"]),
                percent(one["share"]),
            ]
        )
    first = result["results"][0]
    layers = [["layer", "type", "precision", "MMAC", "kB", "ms", "GMAC/s", "of its ceiling", "among the five worst"]]
    layers.append(["---", "---", "---", *["---:"] * 6])
    for one in first["layers"][:20]:
        layers.append(
            [
                f"`{one['name'].removeprefix('/student/')}`",
                one["type"],
                one["precision"],
                f"{one['macs'] / 1e6:.2f}",
                f"{one['bytes'] / 1e3:.0f}",
                f"{one['ms']:.3f}",
                f"{one['gmacs']:.1f}",
                percent(one["share"]),
                "yes" if one["name"] in first["worst"] else "",
            ]
        )
    return f"{markdown(rows)}\n\nThe slowest layers of {first['model']}, {first['backend']}:\n\n{markdown(layers)}"


def tradeoff(result: Figures) -> str:
    """One row a model and stride, the best quality first."""
    rows = [["", "input", "computes every", "IoU", "95 %", "90 % found at", "frames/s a core", "MB", "Pareto"]]
    rows.append(["---", *["---:"] * 8])
    for one in sorted(result["results"], key=lambda one: -one["iou"]):
        rows.append(
            [
                f"{one['model']}, {one['backend']}",
                "x".join(map(str, one["input"])),
                f"{one['stride']}. frame",
                number(one["iou"]),
                interval(one["iou_interval95"]),
                "–" if one["pod90_cnr"] is None else f"{one['pod90_cnr']:.2g}",
                f"{one['fps']:.0f}",
                f"{one['mb']:.2f}",
                "yes" if one["pareto"] else "",
            ]
        )
    return markdown(rows)


def cameras(result: Figures) -> str:
    """Throughput by cameras and threads, then the paced run."""
    rows = [
        ["cameras", "threads", "frames/s", "of one camera's", "p50 ms", "p95 ms", "poorest to richest camera", "MB"]
    ]
    rows.append(["---:"] * 8)
    for one in result["cameras"]["rows"]:
        rows.append(
            [
                str(one["cameras"]),
                str(one["threads"]),
                f"{one['fps']:.0f}",
                percent(one["against_fewest"]),
                f"{one['latency_p50_ms']:.1f}",
                f"{one['latency_p95_ms']:.1f}",
                number(one["fairness"]),
                f"{one['rss_mb']:.0f}",
            ]
        )
    text = f"Each further camera: {result['cameras']['mb_per_camera']:.1f} MB."
    if found := result.get("paced"):
        text += (
            f" {found['cameras']} cameras at {found['camera_fps']:g} frames/s on one core, {found['seconds']:.0f} s: "
            f"{found['dropped']} frames dropped, p95 {found['latency_p95_ms']:.1f} ms."
        )
    return f"{markdown(rows)}\n\n{text}"


def pixels(result: Figures) -> str:
    """Cost by size, and the line through it."""
    found = result["pixels"]
    rows = [["input", "pixels", "ms a frame"], ["---", "---:", "---:"]]
    rows += [[one["size"], f"{one['pixels']:,}", f"{one['ms']:.2f}"] for one in found["rows"]]
    return (
        f"{markdown(rows)}\n\n{found['precision']}, {found['backend']}, random weights. Least squares: "
        f"{found['base']:.2f} ms + {1e6 * found['slope']:.1f} ms per million pixels, R² {found['r2']:.4f}; "
        f"ms grow as pixels to the power of {found['exponent']:.2f}."
    )


def rates(result: Figures) -> str:
    """By kind for both views, then the fleet."""
    quiet, leaking = (result["views"][view]["kinds"] for view in ("quiet", "leaking"))
    rows = [["message", "of each", "quiet: a second", "bytes/s", "at a leak: a second", "bytes/s"]]
    rows.append(["---", "---", *["---:"] * 4])
    for name in sorted({*quiet, *leaking}):
        cells = [
            figure(found.get(name, {}).get(key, 0.0))
            for found in (quiet, leaking)
            for key in ("messages_per_s", "bytes_per_s")
        ]
        rows.append([name, (quiet.get(name) or leaking[name])["per"], *cells])
    found = result["fleet"]
    return (
        f"{markdown(rows)}\n\n**{found['cameras']:,} cameras** on {found['devices']:,} devices, "
        f"{percent(found['leaking'])} of the cameras at a leak: {amount(found['all'])}; without the summaries, "
        f"{amount(found['without_summaries'])}. Before TCP and TLS."
    )


def amount(found: Figures) -> str:
    """Messages and bits."""
    return f"{found['messages_per_s']:,.0f} messages and {8e-6 * found['bytes_per_s']:,.1f} Mbit a second"


def named(one: Figures) -> str:
    """A model or method, and that its weights are random where they are."""
    return str(one.get("model") or one["method"]) + (" (random weights)" if untrained(one) else "")


def times(value: float | None) -> str:
    """1.4 x, or a dash."""
    return "–" if value is None else f"{figure(value)} x"


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
