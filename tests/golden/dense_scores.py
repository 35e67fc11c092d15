"""Writes reference scores of saliency, normals, depth and edges.

    python -m pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 scikit-image==0.26.0
    python tests/golden/dense_scores.py

scikit-learn scores saliency, numpy normals and depth; scipy matches edges, of every threshold from scratch, and scikit-image thins them.
The maps are random, of fixed seeds, of odd sizes and with regions to ignore. Numbers are stored as whole thousandths or hundredths, from
which both sides make the same float32. README.md says what the file holds.
"""

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree
from skimage.morphology import thin
from sklearn.metrics import fbeta_score, jaccard_score, precision_score, recall_score

FOLDER = Path(__file__).resolve().parent
IGNORE = 255
BETA = np.sqrt(0.3)


def smooth(random: np.random.Generator, size: tuple[int, int], sigma: float) -> np.ndarray:
    """Between 0 and 1."""
    noise = gaussian_filter(random.normal(size=size), sigma)
    return (noise - noise.min()) / (noise.max() - noise.min())


def ignore_some(random: np.random.Generator, target: np.ndarray, value: int) -> None:
    """A rectangle, as of a padding, and some pixels."""
    height, width = target.shape[-2:]
    target[..., : height // 5, width // 3 :] = value
    target[..., random.random((height, width)) < 0.05] = value


def whole(values: np.ndarray, parts: int) -> np.ndarray:
    return np.round(values * parts).astype(int)


def single(values: np.ndarray, parts: int) -> np.ndarray:
    return (values / parts).astype(np.float32)


# Saliency


def saliency() -> dict:
    """Of the images, the third has no foreground and the fourth is predicted to have none."""
    random = np.random.default_rng(1)
    images, valid_pixels = [], []
    for index, size in enumerate([(17, 23), (31, 12), (9, 14), (13, 11)]):
        field = smooth(random, size, 2)
        target = (field > 0.55).astype(int) if index != 2 else np.zeros(size, int)
        probability = np.clip(0.6 * field + 0.4 * random.random(size) + 0.05, 0, 1)
        if index == 3:
            probability = 0.04 * field
        ignore_some(random, target, IGNORE)
        images.append({"prediction": whole(probability, 1000).tolist(), "target": target.tolist()})
    for image in images:
        prediction, target = np.array(image["prediction"]), np.array(image["target"])
        valid = target != IGNORE
        valid_pixels.append((single(prediction, 1000)[valid], target[valid]))

    def at(threshold: float) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(target, (prediction > np.float32(threshold)).astype(int)) for prediction, target in valid_pixels]

    def mean(score, threshold: float, empty: int) -> float:
        return float(np.mean([score(target, found, zero_division=empty) for target, found in at(threshold)]))

    def average_f(threshold: float) -> float:
        precision, recall = mean(precision_score, threshold, 0), mean(recall_score, threshold, 0)
        return 1.3 * precision * recall / max(0.3 * precision + recall, 1e-300)

    def pooled_f(threshold: float) -> float:
        targets, found = (np.concatenate(maps) for maps in zip(*at(threshold)))
        return float(fbeta_score(targets, found, beta=BETA, zero_division=0))

    jaccard = [mean(jaccard_score, threshold, 1) for threshold in np.linspace(0.2, 0.9, 15)]
    thresholds = np.linspace(0.05, 0.95, 19)
    expected = {"jaccard": jaccard, "f": list(map(average_f, thresholds)), "f_pooled": list(map(pooled_f, thresholds))}
    expected |= {f"max_{name}": max(values) for name, values in expected.copy().items()}
    return {"images": images, "expected": expected}


# Normals


def normals() -> dict:
    random = np.random.default_rng(2)
    images, angles = [], []
    for size in [(7, 11), (13, 5), (6, 9)]:
        target = np.stack([smooth(random, size, 2) - 0.5 for _ in range(3)]) * random.uniform(0.5, 2, size)
        prediction = target + random.normal(scale=0.3, size=(3, *size)) * random.random(size)
        target, prediction = whole(target, 1000), whole(prediction, 1000)
        ignore_some(random, target, 0)
        images.append({"prediction": prediction.tolist(), "target": target.tolist()})
        a, b = (single(planes, 1000).astype(np.float64) for planes in (prediction, target))
        valid = np.linalg.norm(b, axis=0) > 0
        assert (np.linalg.norm(a, axis=0)[valid] > 0).all()
        a, b = (planes[:, valid] / np.linalg.norm(planes[:, valid], axis=0) for planes in (a, b))
        angles.append(np.degrees(np.arccos(np.clip((a * b).sum(0), -1, 1))))
    angles = np.concatenate(angles)
    expected = {
        "pixels": angles.size,
        "mean_angular_error": float(np.mean(angles)),
        "median_angular_error": float(np.median(angles)),
        "angular_rmse": float(np.sqrt(np.mean(angles**2))),
        "within_11_25_degrees": float(np.mean(angles < 11.25)),
        "within_22_5_degrees": float(np.mean(angles < 22.5)),
        "within_30_degrees": float(np.mean(angles < 30)),
    }
    return {"images": images, "expected": expected}


# Depth


def depth() -> dict:
    """The truth is 0 where there is none; some predictions are not positive."""
    random = np.random.default_rng(3)
    images, predictions, targets = [], [], []
    for size in [(11, 7), (8, 15), (5, 6)]:
        target = whole(0.5 + 9 * smooth(random, size, 2), 1000)
        prediction = whole(target / 1000 * np.exp(random.normal(scale=0.4, size=size)), 1000)
        prediction[random.random(size) < 0.03] *= -1
        prediction[random.random(size) < 0.03] = 0
        ignore_some(random, target, 0)
        images.append({"prediction": prediction.tolist(), "target": target.tolist()})
        a, b = (single(values, 1000).astype(np.float64) for values in (prediction, target))
        predictions.append(a[b > 0])
        targets.append(b[b > 0])
    a, b = np.concatenate(predictions), np.concatenate(targets)
    assert (a <= 0).any()
    clamped = np.maximum(a, 1e-9)
    factor = np.maximum(clamped / b, b / clamped)
    expected = {
        "pixels": a.size,
        "depth_rmse": float(np.sqrt(np.mean((a - b) ** 2))),
        "mean_relative_error": float(np.mean(np.abs(a - b) / b)),
        "within_1_25": float(np.mean(factor < 1.25)),
        "within_1_25_squared": float(np.mean(factor < 1.25**2)),
        "within_1_25_cubed": float(np.mean(factor < 1.25**3)),
    }
    return {"images": images, "expected": expected}


# Edges


EDGE_CASES = [
    {"thresholds": 99, "max_distance": 0.0075, "thin": False},
    {"thresholds": 99, "max_distance": 0.04, "thin": False},
    {"thresholds": 99, "max_distance": 0.04, "thin": True},
    {"thresholds": 19, "max_distance": 0.03, "thin": True},
]


def matched(prediction: np.ndarray, truth: np.ndarray, distance: float) -> int:
    found, there = np.argwhere(prediction), np.argwhere(truth)
    if len(found) == 0 or len(there) == 0:
        return 0
    # Squares of whole numbers, so that no root decides; a little more of a distance for the search.
    near = cKDTree(found).query_ball_point(there, distance + 1e-6)
    pairs = [(row, column) for row, columns in enumerate(near) for column in columns
             if ((there[row] - found[column]) ** 2).sum() <= distance * distance]
    if not pairs:
        return 0
    rows, columns = np.array(pairs).T
    graph = csr_array((np.ones(len(pairs), np.int8), (rows, columns)), shape=(len(there), len(found)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def counts(prediction: np.ndarray, target: np.ndarray, case: dict) -> np.ndarray:
    """Matched, predicted and true pixels by threshold."""
    height, width = target.shape
    distance = case["max_distance"] * np.sqrt(height * height + width * width)
    table = []
    for index in range(1, case["thresholds"] + 1):
        found = (prediction >= np.float32(index / (case["thresholds"] + 1))) & (target != IGNORE)
        if case["thin"]:
            found = thin(found)
        table.append((matched(found, target == 1, distance), int(found.sum()), int((target == 1).sum())))
    return np.array(table)


def f(table: np.ndarray) -> np.ndarray:
    return 2 * table[..., 0] / np.maximum(table[..., 1] + table[..., 2], 1)


def edges() -> dict:
    """Contours of a field, and of what is predicted of it; in the last image there is no edge."""
    random = np.random.default_rng(4)
    images = []
    for index, size in enumerate([(43, 61), (38, 29), (52, 47), (17, 20)]):
        field = smooth(random, size, 4)
        inside = field > 0.5
        target = (inside[:-1, :-1] != inside[1:, :-1]) | (inside[:-1, :-1] != inside[:-1, 1:])
        target = target.astype(int) if index < 3 else np.zeros_like(target, int)
        guess = field + 0.05 * smooth(random, size, 2)
        prediction = np.exp(-(((guess - 0.53) / 0.08) ** 2)) * random.uniform(0.7, 1, size)
        prediction = whole(prediction[:-1, :-1], 100)
        ignore_some(random, target, IGNORE)
        images.append({"prediction": prediction.tolist(), "target": target.tolist()})
    cases = []
    for case in EDGE_CASES:
        tables = [counts(single(np.array(image["prediction"]), 100), np.array(image["target"]), case) for image in images]
        total = np.sum(tables, axis=0)
        # Of thresholds that are equally good for an image, the highest.
        best = np.sum([table[len(table) - 1 - np.argmax(f(table)[::-1])] for table in tables], axis=0)
        predicting = total[total[:, 1] > 0]
        recall, precision = predicting[:, 0] / predicting[:, 2], predicting[:, 0] / predicting[:, 1]
        order = np.lexsort((-precision, recall))
        expected = {
            "counts": total.tolist(),
            "best_counts": best.tolist(),
            "ods_f": float(f(total).max()),
            "ois_f": float(f(best)),
            "edge_average_precision": float(np.trapezoid(precision[order], recall[order])),
        }
        cases.append({"config": case, "expected": expected})
    return {"images": images, "cases": cases}


def main() -> None:
    golden = {"ignore": IGNORE, "saliency": saliency(), "normals": normals(), "depth": depth(), "edges": edges()}
    path = FOLDER / "dense_scores.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    path.chmod(0o644)


if __name__ == "__main__":
    main()
