"""Tiny datasets in the layouts of PASCAL_MT and NYUD_MT, and what is in them.

Writes `tests/golden/dense/`. The files are made with scipy, numpy and Pillow; the expected labels are computed
here from what was drawn, with OpenCV's Laplacian and scikit-image's thinning for the edges, never by the code
under test.

    python -m pip install numpy==2.4.6 scipy==1.17.1 pillow==13.0.0 opencv-python-headless scikit-image
    python tests/golden/dense_data.py
"""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import io
from skimage.morphology import thin

FOLDER = Path(__file__).parent / "dense"
HEIGHT, WIDTH = 14, 20
IGNORE = 255

# Numbers of a few of the 459 context classes, and whether normals are kept on them.
CONTEXT = {
    "bag": (9, True),
    "building": (44, False),
    "dog": (113, True),
    "grass": (187, False),
    "person": (284, True),
    "sky": (360, False),
    "tvmonitor": (427, True),
    "unknown": (431, False),
    "wall": (440, True),
}

PARTS = {
    1: "hair head lear rear lebrow rebrow leye reye mouth nose",
    2: "torso neck",
    3: "luarm ruarm",
    4: "llarm rlarm lhand rhand",
    5: "luleg ruleg",
    6: "llleg rlleg lfoot rfoot",
}
PART = {name: label for label, names in PARTS.items() for name in names.split()}


def picture(path: Path, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=80)


def savemat(path: Path, variables: dict, compressed: bool) -> None:
    io.savemat(path, variables, do_compression=compressed)
    # The header tells the time, which would make every run write other bytes.
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file".ljust(116))


def png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, optimize=True)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def structs(fields: list[str], rows: list[list]) -> np.ndarray:
    array = np.zeros((1, len(rows)), dtype=[(field, object) for field in fields])
    for index, row in enumerate(rows):
        for field, value in zip(fields, row):
            array[0, index][field] = value
    return array


def annotation(objects: list[tuple[str, int, np.ndarray, list]]) -> np.ndarray:
    rows = []
    for name, number, mask, parts in objects:
        listed = structs(["part_name", "mask"], [list(part) for part in parts]) if parts else np.zeros((0, 0))
        rows.append([name, np.array([[number]], dtype=np.uint8), mask, listed])
    inner = structs(["class", "class_ind", "mask", "parts"], rows)
    return structs(["imname", "objects"], [["a name", inner]])


def parts_of(objects: list) -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), dtype=int)
    for _, number, _, parts in objects:
        for name, mask in parts if number == 15 else []:
            labels[mask.astype(bool)] = PART[name]
    return labels if labels.any() else np.full_like(labels, IGNORE)


def pascal(random: np.random.Generator) -> dict:
    root = FOLDER / "pascal_mt"
    person = [
        ("head", box(1, 3, 4, 6)),
        ("hair", box(0, 3, 2, 6)),
        ("neck", box(4, 4, 5, 5)),
        ("torso", box(5, 2, 8, 7)),
        ("luarm", box(5, 1, 7, 2)),
        ("ruarm", box(5, 6, 7, 8)),
        ("rlarm", box(7, 7, 9, 8)),
        ("rhand", box(9, 7, 10, 8)),
        ("luleg", box(8, 2, 10, 4)),
        ("llleg", box(10, 2, 12, 4)),
        ("lfoot", box(12, 1, 13, 4)),
    ]
    second = [("torso", box(6, 12, 10, 16)), ("reye", box(4, 13, 5, 14)), ("ruleg", box(10, 12, 13, 14))]
    # The second person stands before the legs of the dog, whose parts have names of people too.
    dog = [("head", box(8, 9, 11, 12)), ("torso", box(10, 10, 13, 15))]
    samples = {
        "2008_000001": [
            ("dog", 12, box(8, 9, 13, 15), dog),
            ("person", 15, box(0, 1, 13, 8), person),
            ("person", 15, box(4, 12, 13, 16), second),
        ],
        "2008_000002": [("dog", 12, box(8, 9, 13, 15), dog)],
        "2008_000003": [("person", 15, box(1, 1, 9, 9), [])],
        "2008_000004": [
            ("person", 15, box(1, 1, 9, 9), []),
            ("person", 15, box(4, 12, 13, 16), second),
        ],
    }
    scenes = {
        "2008_000001": [("wall", box(0, 0, 14, 20)), ("sky", box(0, 8, 5, 20)), ("person", box(0, 1, 13, 8)), ("unknown", box(9, 15, 14, 20))],
        "2008_000002": [("grass", box(0, 0, 14, 20)), ("dog", box(8, 9, 13, 15)), ("bag", box(0, 0, 3, 3))],
        "2008_000003": [("building", box(0, 0, 14, 20)), ("tvmonitor", box(3, 3, 10, 12)), ("person", box(1, 1, 9, 9))],
        "2008_000004": [("sky", box(0, 0, 14, 20)), ("building", box(6, 0, 14, 20))],
    }
    expected = {}
    for number, (name, objects) in enumerate(samples.items()):
        compressed = number % 2 == 0
        picture(root / f"JPEGImages/{name}.jpg", random)

        semantic = random.integers(0, 21, (HEIGHT, WIDTH), dtype=np.uint8)
        semantic[:2, :3] = IGNORE
        folder = "VOC12" if number in (0, 3) else "pascal-context"
        png(root / f"semseg/{folder}/{name}.png", semantic)
        if number == 0:
            # Not to be looked at: VOC12 comes first.
            png(root / f"semseg/pascal-context/{name}.png", np.zeros_like(semantic))

        path = root / f"human_parts/{name}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"anno": annotation(objects)}, compressed)

        saliency = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        saliency[0, :2] = [127, 128]
        png(root / f"sal_distill/{name}.png", saliency)

        context = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
        valid = np.zeros((HEIGHT, WIDTH), dtype=bool)
        for class_name, mask in scenes[name]:
            context[mask == 1], valid[mask == 1] = CONTEXT[class_name]
        if number == 1:
            # A staircase and a dot, of which thinning has to make something.
            for step in range(8):
                context[step : step + 2, 4 + step] = 113
                valid[step : step + 2, 4 + step] = True
        path = root / f"pascal-context/trainval/{name}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Some files hold doubles.
        stored = context.astype(float) if number == 3 else context
        savemat(path, {"LabelMap": stored}, not compressed)
        edges = thin(np.abs(cv2.Laplacian(context.astype(np.float64), cv2.CV_64F)) > 0)

        colors = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        png(root / f"normals_distill/{name}.png", colors)
        normals = 2 * colors.astype(float) / 255 - 1
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        normals[~valid] = 0

        expected[name] = {
            "semantic_segmentation": semantic.ravel().tolist(),
            "human_parts": parts_of(objects).ravel().tolist(),
            "saliency": (saliency / 255 > 0.5).astype(int).ravel().tolist(),
            "surface_normals": normals.ravel().round(4).tolist(),
            "edges": edges.astype(int).ravel().tolist(),
        }
    lists = root / "ImageSets/Context"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2008_000003\n2008_000001\n2008_000002\n")
    (lists / "val.txt").write_text("2008_000004\n")
    return expected


def nyud(random: np.random.Generator) -> dict:
    root = FOLDER / "nyud_mt"
    expected = {}
    for number, name in enumerate(["0001", "0002", "0003"]):
        picture(root / f"images/{name}.jpg", random)
        semantic = random.integers(0, 41, (HEIGHT, WIDTH), dtype=np.uint8)
        png(root / f"segmentation/{name}.png", semantic)

        depth = random.uniform(0.7, 9.9, (HEIGHT, WIDTH)).round(3)
        depth[random.random((HEIGHT, WIDTH)) < 0.1] = 0
        normals = random.normal(size=(HEIGHT, WIDTH, 3))
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        normals[random.random((HEIGHT, WIDTH)) < 0.1] = 0
        edges = (random.random((HEIGHT, WIDTH)) < 0.2).astype(float)
        kind = [np.float32, np.float64, np.float32][number]
        arrays = {
            "depth": np.asfortranarray(depth.astype(kind)) if number == 1 else depth.astype(kind),
            # Files need not hold unit vectors.
            "normals": (0.5 * normals if number == 2 else normals).astype(kind),
            "edge": edges.astype([np.float32, np.uint8, bool][number]),
        }
        if number == 2:
            arrays["depth"] = arrays["depth"][:, :, None]
        for folder, array in arrays.items():
            path = root / folder / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
        expected[name] = {
            "semantic_segmentation": np.where(semantic == 0, IGNORE, semantic.astype(int) - 1).ravel().tolist(),
            "surface_normals": normals.ravel().round(4).tolist(),
            "depth": depth.ravel().tolist(),
            "edges": edges.astype(int).ravel().tolist(),
        }
    (root / "gt_sets").mkdir()
    (root / "gt_sets/train.txt").write_text("0001\n0002\n")
    (root / "gt_sets/val.txt").write_text("0003\n")
    return expected


def kinds() -> dict:
    """Arrays of every kind that MATLAB files have, in two files that differ in compression only."""
    numbers = {}
    for kind in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]:
        information = np.finfo(kind) if kind.startswith("f") else np.iinfo(kind)
        numbers[kind] = np.array([[1, 2, 3], [0, 100, information.min]], dtype=kind)
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0] = "inner"
    cell[0, 1] = np.array([[1.5]])
    variables = numbers | {
        "truth": np.array([[True, False]]),
        "text": "words, \u00e4\u00f6\u03b1",
        "cell": cell,
        "struct": {"first": 1.0, "second": "two"},
        "cube": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "complex": np.array([[1 + 2j]]),
        "empty": np.zeros((0, 0)),
    }
    for name, compressed in [("plain", False), ("compressed", True)]:
        savemat(FOLDER / f"kinds.{name}.mat", variables, compressed)
    return {kind: array.astype(float).ravel().tolist() for kind, array in numbers.items()}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    random = np.random.default_rng(28)
    expected = {
        "size": [HEIGHT, WIDTH],
        "pascal_mt": pascal(random),
        "nyud_mt": nyud(random),
        "kinds": kinds(),
    }
    (FOLDER / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
