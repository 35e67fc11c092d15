"""Writes the reference scores of detections: COCO's by pycocotools, Pascal VOC's by a plain statement of the kit's rule.

    python -m pip install pycocotools==2.0.11 numpy
    python tests/golden/detection_scores.py

The truths and detections are random, of fixed seeds, and have what implementations trip over: crowds, polygons of parts, empty images,
categories without objects or without detections, areas exactly at 32 x 32, equal scores, more than 100 detections of a category in an image.
README.md says what each file holds.
"""

import contextlib
import copy
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools import mask as codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

FOLDER = Path(__file__).resolve().parent


def write(name: str, value: object) -> None:
    path = FOLDER / f"detection_scores.{name}.json"
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")
    path.chmod(0o644)


# COCO


CATEGORIES = [
    {"id": 18, "name": "dog"},
    {"id": 1, "name": "person"},
    {"id": 7, "name": "train"},
    {"id": 44, "name": "never there"},
    {"id": 90, "name": "never found"},
]
PRESENT = (1, 7, 18)
NEVER_THERE, NEVER_FOUND = 44, 90


@dataclass
class Case:
    name: str
    seed: int
    sides: tuple[int, int]  # of the images, least and most
    images: int
    objects: int  # per image, at most
    largest: int  # side of an object
    decimals: int  # of the scores: few make ties
    crowd: float  # share of crowds
    flood: int  # detections of one category in one image, beyond the others


CASES = [
    Case("mixed", seed=1, sides=(110, 240), images=9, objects=7, largest=190, decimals=3, crowd=0.1, flood=108),
    Case("small", seed=2, sides=(40, 90), images=12, objects=6, largest=60, decimals=2, crowd=0.0, flood=0),
    Case("ties", seed=3, sides=(90, 200), images=8, objects=6, largest=150, decimals=1, crowd=0.3, flood=104),
    Case("sparse", seed=4, sides=(60, 200), images=14, objects=2, largest=120, decimals=2, crowd=0.2, flood=0),
]


def blob(random: np.random.Generator, box: list[float]) -> list[float]:
    """A polygon inside a box, as `x, y, x, y, ...`."""
    x, y, width, height = box
    angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(5, 11)))
    reach = random.uniform(0.75, 1.0, angles.size)
    xs = x + width / 2 * (1 + reach * np.cos(angles))
    ys = y + height / 2 * (1 + reach * np.sin(angles))
    return [round(float(value), 2) for pair in zip(xs, ys) for value in pair]


def drawn(polygons: list[list[float]], image: dict) -> dict:
    parts = codec.frPyObjects(polygons, image["height"], image["width"])
    return codec.merge(parts)


def with_text(runs: dict) -> dict:
    return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode()}


def with_list(runs: dict) -> dict:
    """The uncompressed form, which COCO's own crowds have."""
    pixels = codec.decode(runs).flatten(order="F")
    changes = np.flatnonzero(np.diff(pixels, prepend=0))
    edges = np.concatenate([[0], changes, [pixels.size]])
    return {"size": [int(side) for side in runs["size"]], "counts": [int(count) for count in np.diff(edges)]}


def a_box(random: np.random.Generator, image: dict, largest: int) -> list[float]:
    # Mostly log-uniform, so that small, medium and large objects all occur.
    sides = np.exp(random.uniform(np.log(3), np.log(largest), 2))
    if random.uniform() < 0.2:
        sides = random.uniform(0.7, 1.0, 2) * largest
    width, height = min(sides[0], image["width"] - 1), min(sides[1], image["height"] - 1)
    x = random.uniform(0, image["width"] - width)
    y = random.uniform(0, image["height"] - height)
    return [round(float(value), 2) for value in (x, y, width, height)]


def annotation(random: np.random.Generator, case: Case, image: dict, flooded: int) -> dict:
    box = a_box(random, image, case.largest)
    entry = {"image_id": image["id"], "category_id": int(random.choice(PRESENT)), "iscrowd": 0}
    if random.uniform() < 0.15 and min(image["width"], image["height"]) > 34:
        # 32 x 32: small and medium at once.
        x, y = (int(random.integers(0, image[side] - 32)) for side in ("width", "height"))
        polygons = [[x, y, x + 32, y, x + 32, y + 32, x, y + 32]]
    else:
        polygons = [blob(random, box)]
        if random.uniform() < 0.2:
            polygons.append(blob(random, a_box(random, image, case.largest // 2)))
    runs = drawn(polygons, image)
    entry["bbox"] = [float(value) for value in codec.toBbox(runs)]
    entry["area"] = float(codec.area(runs))
    entry["segmentation"] = polygons
    if random.uniform() < case.crowd:
        entry["iscrowd"] = 1
        entry["segmentation"] = with_list(runs) if random.uniform() < 0.7 else with_text(runs)
    if random.uniform() < 0.1:
        entry["category_id"] = NEVER_FOUND
    if case.flood and image["id"] == flooded:
        entry["category_id"] = PRESENT[0]
    return entry


def shifted(random: np.random.Generator, box: list[float], image: dict) -> list[float]:
    x, y, width, height = box
    x += width * random.normal(0, 0.07)
    y += height * random.normal(0, 0.07)
    width *= np.exp(random.normal(0, 0.09))
    height *= np.exp(random.normal(0, 0.09))
    x, y = min(max(x, 0.0), image["width"] - 2.0), min(max(y, 0.0), image["height"] - 2.0)
    return [round(float(value), 2) for value in (x, y, max(width, 1.5), max(height, 1.5))]


def detection(random: np.random.Generator, case: Case, image: dict, category: int, box: list[float], outline: list) -> dict:
    # The box and the mask are off by different amounts, as those of a model are.
    mask = drawn(outline or [blob(random, shifted(random, box, image))], image)
    return {
        "image_id": image["id"],
        "category_id": category,
        "bbox": shifted(random, box, image),
        "score": round(float(random.beta(2, 2)), case.decimals),
        "segmentation": with_text(mask),
    }


def moved(random: np.random.Generator, polygons: object) -> list:
    """The outlines of an object, a little off; nothing for the pixels of a crowd."""
    if not isinstance(polygons, list):
        return []
    x, y = random.normal(0, 1.5, 2)
    grown = [np.array(polygon).reshape(-1, 2) for polygon in polygons]
    scale = np.exp(random.normal(0, 0.05))
    grown = [(points - points.mean(0)) * scale + points.mean(0) + (x, y) for points in grown]
    return [[float(value) for value in points.flatten()] for points in grown]


def detections(random: np.random.Generator, case: Case, images: list[dict], annotations: list[dict]) -> list[dict]:
    by_id = {image["id"]: image for image in images}
    found = []
    for entry in annotations:
        image = by_id[entry["image_id"]]
        if entry["category_id"] == NEVER_FOUND:
            continue
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            category = entry["category_id"] if random.uniform() < 0.9 else int(random.choice(PRESENT))
            outline = moved(random, entry["segmentation"])
            found.append(detection(random, case, image, category, entry["bbox"], outline))
    for image in images[:-1]:
        for _ in range(random.integers(0, 4)):
            category = int(random.choice((*PRESENT, NEVER_THERE)))
            found.append(detection(random, case, image, category, a_box(random, image, case.largest), []))
    for _ in range(case.flood):
        found.append(detection(random, case, images[0], PRESENT[0], a_box(random, images[0], 12), []))
    if case.flood:
        # Right ones among the first hundred but not the first ten, and beyond the hundredth, where they count no more.
        right = [entry for entry in annotations if entry["image_id"] == images[0]["id"] and not entry["iscrowd"]]
        for entry, score in zip([entry for entry in right if entry["category_id"] == PRESENT[0]], (0.4, 0.0, 0.4, 0.0)):
            outline = entry["segmentation"]
            again = detection(random, case, images[0], PRESENT[0], entry["bbox"], outline)
            found.append({**again, "bbox": entry["bbox"], "score": score})
    random.shuffle(found)
    return found


def evaluated(truth: dict, found: list[dict], kind: str, most: int = 100) -> dict:
    """pycocotools' twelve numbers and those of the categories; -1 where there is nothing to average."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(found)), kind)
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    classes = {}
    for index, category in enumerate(evaluation.params.catIds):
        precision = evaluation.eval["precision"][:, :, index, 0, 2]
        precision = precision[precision > -1]
        classes[str(category)] = float(precision.mean()) if precision.size else -1.0
    return {"stats": [float(value) for value in evaluation.stats], "classes": classes}


def without(key: str, entries: list[dict]) -> list[dict]:
    return [{name: value for name, value in entry.items() if name != key} for entry in entries]


def coco(case: Case) -> None:
    random = np.random.default_rng(case.seed)
    sides = lambda: int(random.integers(*case.sides))
    images = [{"id": int(id), "width": sides(), "height": sides()} for id in random.permutation(400)[: case.images]]
    # The last two images have no objects, the last no detections either.
    annotations = [
        annotation(random, case, image, flooded=images[0]["id"])
        for image in images[:-2]
        for _ in range(random.integers(1, case.objects + 1))
    ]
    random.shuffle(annotations)
    annotations = [{"id": id, **entry} for id, entry in enumerate(annotations, 1)]
    truth = {"images": images, "categories": CATEGORIES, "annotations": annotations}
    found = detections(random, case, images, annotations)
    boxes, masks = without("segmentation", found), without("bbox", found)
    expected = {
        "bbox": evaluated(truth, boxes, "bbox"),
        "segm": evaluated(truth, masks, "segm"),
        # A first entry with a box makes pycocotools measure objects by boxes, masks or not.
        "segm_sized_by_box": evaluated(truth, found, "segm"),
        "bbox_of_masks": evaluated(truth, masks, "bbox"),
    }
    if case.flood:
        recalls = [evaluated(truth, boxes, "bbox", most)["stats"][8] for most in (10, 100, 1000)]
        assert recalls[0] < recalls[1] < recalls[2], recalls
    write(case.name, {"ground_truth": truth, "detections": found, "expected": expected})


# Pascal VOC


def overlap(left: np.ndarray, right: np.ndarray, extra: float) -> float:
    width = min(left[2], right[2]) - max(left[0], right[0]) + extra
    height = min(left[3], right[3]) - max(left[1], right[1]) + extra
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(box[2] - box[0] + extra) * (box[3] - box[1] + extra) for box in (left, right)]
    return both / (areas[0] + areas[1] - both)


def voc_curve(objects: list[dict], found: list[dict], extra: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Right and wrong detections so far, best first, and the number of objects that count: VOCevaldet.m."""
    positives = sum(not entry["difficult"] for entry in objects)
    order = np.argsort([-entry["score"] for entry in found], kind="stable")
    right, wrong, taken = np.zeros(len(found)), np.zeros(len(found)), set()
    for rank, index in enumerate(order):
        best, most = None, -np.inf
        for number, entry in enumerate(objects):
            if entry["image_id"] == found[index]["image_id"]:
                now = overlap(found[index]["corners"], entry["corners"], extra)
                if now > most:
                    best, most = number, now
        if most >= 0.5:
            if not objects[best]["difficult"]:
                (wrong if best in taken else right)[rank] = 1
                taken.add(best)
        else:
            wrong[rank] = 1
    return np.cumsum(right), np.cumsum(wrong), positives


def voc_class(objects: list[dict], found: list[dict], extra: float) -> dict:
    right, wrong, positives = voc_curve(objects, found, extra)
    if positives == 0:
        return {"ap_11_points": None, "ap_area": None}
    precision = right / np.maximum(right + wrong, 1)
    # In whole numbers, so that 3 of 10 reach the recall of 0.3.
    points = [precision[10 * right >= point * positives].max(initial=0.0) for point in range(11)]
    recalls = np.concatenate([[0], right / positives, [1]])
    envelope = np.concatenate([[0], precision, [0]])
    envelope = np.maximum.accumulate(envelope[::-1])[::-1]
    return {"ap_11_points": float(np.mean(points)), "ap_area": float(np.sum(np.diff(recalls) * envelope[1:]))}


def voc_scores(classes: int, objects: list[dict], found: list[dict], extra: float) -> dict:
    of = lambda entries, index: [entry for entry in entries if entry["class"] == index]
    scores = [voc_class(of(objects, index), of(found, index), extra) for index in range(classes)]
    columns = {key: [score[key] for score in scores] for key in scores[0]}
    means = {f"mean_{key}": float(np.mean([v for v in values if v is not None])) for key, values in columns.items()}
    return {**means, **columns}


def voc() -> None:
    random = np.random.default_rng(5)
    classes = 5  # the last two have no object that counts
    objects, found = [], []
    whole = lambda box: [int(value) for value in box]
    for image in range(12):
        for _ in range(random.integers(0, 8)):
            left, top = random.integers(1, 60, 2)
            corners = whole([left, top, left + random.integers(2, 30), top + random.integers(2, 30)])
            kind = int(random.choice([0, 0, 1, 2, 3]))
            difficult = bool(random.uniform() < 0.2) or kind == 3
            objects.append({"image_id": image, "class": kind, "corners": corners, "difficult": difficult})
            for _ in range(random.choice([0, 1, 1, 2])):
                off = random.normal(0, 2.2, 4)
                # Half are whole pixels, so that overlaps of exactly one half occur.
                near = np.array(corners) + (off.round() if random.uniform() < 0.5 else off)
                near = [round(float(value), 1) for value in near]
                score = round(float(random.uniform()), 1)
                found.append({"image_id": image, "class": kind, "corners": near, "score": score})
        for _ in range(random.integers(0, 3)):
            left, top = random.uniform(0, 60, 2).round(1)
            corners = [float(left), float(top), round(float(left) + 20.0, 1), round(float(top) + 11.5, 1)]
            kind, score = int(random.integers(0, classes)), round(float(random.uniform()), 1)
            found.append({"image_id": image, "class": kind, "corners": corners, "score": score})
    expected = {
        "inclusive": voc_scores(classes, objects, found, 1.0),
        "points": voc_scores(classes, objects, found, 0.0),
    }
    write("voc", {"classes": classes, "objects": objects, "detections": found, "expected": expected})


if __name__ == "__main__":
    for case in CASES:
        coco(case)
    voc()
