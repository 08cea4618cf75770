"""Measures the demo on the evaluation pictures: average precision at IoU 0.5, per class and mean.

    python3 evaluate.py                 measures, and prints the table of README.md
    python3 evaluate.py --draw          draws eval-*.png and eval.json anew
    python3 evaluate.py --expect        writes expected.json: detections on demo.png, average precisions

`eval.json` names the sheets, how pictures lie on them (row by row, sheet by sheet) and the things in each picture:
`[class, cx, cy, w, h]`, relative to the picture.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from PIL import Image

import darknet
import draw

HERE = pathlib.Path(__file__).parent
SEED = 2
SHEETS, COLUMNS, ROWS, WIDTH, HEIGHT = 4, 5, 10, 160, 120
DEMO = [3, 0]  # seed of the shipped picture


def draw_all():
    pictures = []
    for s in range(SHEETS):
        sheet = np.zeros((ROWS * HEIGHT, COLUMNS * WIDTH, 3), np.uint8)
        for k in range(ROWS * COLUMNS):
            picture, boxes = draw.scene(np.random.default_rng([SEED, len(pictures)]), WIDTH, HEIGHT)
            y, x = k // COLUMNS * HEIGHT, k % COLUMNS * WIDTH
            sheet[y : y + HEIGHT, x : x + WIDTH] = (picture + 2) // 5 * 5  # 52 steps per channel: half the file
            pictures.append([[c] + [round(v, 5) for v in b] for c, *b in boxes])
        Image.fromarray(sheet).save(HERE / f"eval-{s}.png", optimize=True)
    head = {
        "names": draw.NAMES,
        "sheets": [f"eval-{s}.png" for s in range(SHEETS)],
        "columns": COLUMNS,
        "rows": ROWS,
        "width": WIDTH,
        "height": HEIGHT,
    }
    lines = ",\n".join(json.dumps(p) for p in pictures)
    (HERE / "eval.json").write_text(json.dumps(head, indent=1)[:-2] + ',\n "pictures": [\n' + lines + "\n]}\n")


def pictures():
    """The evaluation pictures in order, each with its things."""
    about = json.loads((HERE / "eval.json").read_text())
    w, h, per_sheet = about["width"], about["height"], about["columns"] * about["rows"]
    for s, name in enumerate(about["sheets"]):
        sheet = np.asarray(Image.open(HERE / name).convert("RGB"))
        for k in range(per_sheet):
            y, x = k // about["columns"] * h, k % about["columns"] * w
            yield sheet[y : y + h, x : x + w], about["pictures"][s * per_sheet + k]


def average_precision(found, things, limit=0.5):
    """All-point interpolated AP of one class.

    `found`: (score, picture, box) of all pictures; `things`: per picture the true boxes, n x 4. By falling score, a
    detection is right if the true box it overlaps most is over `limit` and not yet taken.
    """
    taken = [np.zeros(len(t), bool) for t in things]
    right = []
    for _, p, box in sorted(found, key=lambda f: -f[0]):
        over = darknet.iou(box, things[p]) if len(things[p]) else np.zeros(0)
        best = int(over.argmax()) if len(over) else -1
        good = best >= 0 and over[best] > limit and not taken[p][best]
        if good:
            taken[p][best] = True
        right.append(good)
    right = np.array(right, float)
    recall = np.concatenate([[0], np.cumsum(right) / sum(len(t) for t in things)])
    precision = np.concatenate([[0], np.cumsum(right) / np.arange(1, len(right) + 1)])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[1:]))


def measure(net, thresh=0.005):
    found, things = [], []
    for p, (picture, truth) in enumerate(pictures()):
        found += [(score, c, p, box) for score, c, box in darknet.detect(net, picture, thresh)]
        things.append(np.array(truth, np.float64).reshape(-1, 5))
    return [
        (
            name,
            sum(int((t[:, 0] == c).sum()) for t in things),
            average_precision([(s, p, b) for s, k, p, b in found if k == c], [t[t[:, 0] == c, 1:] for t in things]),
        )
        for c, name in enumerate(draw.NAMES)
    ]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--draw", action="store_true")
    args.add_argument("--expect", action="store_true")
    args.add_argument("--weights", default=HERE / "demo.weights")
    args = args.parse_args()
    torch.set_num_threads(1)
    if args.draw:
        draw_all()
        Image.fromarray(draw.scene(np.random.default_rng(DEMO), 640, 480, things=6, grain=False)[0]).save(HERE / "demo.png", optimize=True)
        return
    net = darknet.Network(HERE / "demo.cfg").eval()
    net.load_weights(args.weights)
    if args.expect:
        picture = np.asarray(Image.open(HERE / "demo.png").convert("RGB"))
        rows = [
            {"class": c, "label": draw.NAMES[c], "score": round(score, 6)}
            | {k: round(float(v), 6) for k, v in zip(("cx", "cy", "w", "h"), box)}
            for score, c, box in darknet.detect(net, picture, 0.25)
        ]
        head = {"picture": "demo.png", "width": 640, "height": 480, "thresh": 0.25, "nms": 0.45}
        head["average_precision"] = {name: round(ap, 4) for name, _, ap in measure(net)}
        lines = ",\n".join("  " + json.dumps(r) for r in rows)
        (HERE / "expected.json").write_text(json.dumps(head, indent=1)[:-2] + ',\n "detections": [\n' + lines + "\n ]\n}\n")
        print(lines)
        return
    table = measure(net)
    print("| class | things | AP@0.5 |\n|---|---|---|")
    for name, n, ap in table:
        print(f"| {name} | {n} | {ap:.4f} |")
    print(f"| all | {sum(n for _, n, _ in table)} | {np.mean([ap for _, _, ap in table]):.4f} (mean) |")


if __name__ == "__main__":
    main()
