"""What pysodmetrics says of some maps and masks: the values that `test_saliency` holds our own to.

python -m venv /tmp/reference && /tmp/reference/bin/pip install pysodmetrics==1.6.2
/tmp/reference/bin/python tests/calibration/saliency_reference.py > tests/calibration/saliency_reference.json
"""

import json
from collections.abc import Iterator

import numpy as np


def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probability maps (H, W) float32 0..1 and masks (H, W) bool: good and bad, large and small, holes and fringes."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:48, :64]
    for number in range(12):
        field = sum(
            weight * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))
            for weight, cx, cy, size in zip(
                random.uniform(-1, 1, 9),
                random.uniform(0, 64, 9),
                random.uniform(0, 48, 9),
                random.uniform(3, 12, 9),
                strict=True,
            )
        )
        truth = field > np.quantile(field, (0.5, 0.8, 0.95, 0.99)[number % 4])
        wrong = random.uniform(0.1, 1.5)
        logits = 8 * (field - np.quantile(field, 0.9)) + wrong * random.normal(size=field.shape)
        yield np.float32(1 / (1 + np.exp(-logits))), truth
    dark, gas = np.zeros((48, 64), np.float32), np.hypot(x - 20, y - 30) < 9
    yield dark, gas
    yield np.float32(gas), gas
    yield np.float32(~gas), gas
    yield np.full((48, 64), np.float32(0.3)), gas


def main() -> None:
    """Print the values as JSON."""
    import py_sod_metrics

    rows = []
    for probability, truth in pairs():
        row = {}
        for key, kind in (
            ("s", py_sod_metrics.Smeasure),
            ("weighted_f", py_sod_metrics.WeightedFmeasure),
            ("e", py_sod_metrics.Emeasure),
            ("mae", py_sod_metrics.MAE),
        ):
            measure = kind()
            measure.step(probability, truth, normalize=False)
            (value,) = measure.get_results().values()
            row[key] = float(value["curve"].mean() if key == "e" else value)
        rows.append(row)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
