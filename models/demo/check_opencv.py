"""Compares the demo with OpenCV's own Darknet reader: every yolo output and the final detections on demo.png.

    python3 check_opencv.py [picture]

Both get the same stretched tensor. Exits with 1 unless each detection of one side has its like on the other: same class,
IoU over 0.99, scores within 0.01. Expect differences near 1e-5: OpenCV's batch-norm epsilon is 1e-6, Darknet's 1e-5.
"""

import pathlib
import sys

import cv2
import numpy as np
import torch
from PIL import Image

import darknet
import draw

HERE = pathlib.Path(__file__).parent


def candidates(net, outs, thresh):
    """OpenCV's yolo rows (cx, cy, w, h, objectness, objectness * class...) to boxes and class scores."""
    rows = np.concatenate([o.reshape(-1, 5 + net.classes) for o in outs])
    rows = rows[rows[:, 4] > thresh]
    return rows[:, :4], np.where(rows[:, 5:] > thresh, rows[:, 5:], 0)


def main():
    picture = np.asarray(Image.open(sys.argv[1] if len(sys.argv) > 1 else HERE / "demo.png").convert("RGB"))
    net = darknet.Network(HERE / "demo.cfg").eval()
    net.load_weights(HERE / "demo.weights")
    x = darknet.to_tensor(picture, net.width, net.height)[None]
    with torch.no_grad():
        raw = [r[0].numpy() for r in net(torch.from_numpy(x))]

    other = cv2.dnn.readNetFromDarknet(str(HERE / "demo.cfg"), str(HERE / "demo.weights"))
    other.setInput(x)
    convs = [f"conv_{i - 1}" for i, _, _ in net.heads]
    yolos = [f"yolo_{i}" for i, _, _ in net.heads]
    outs = other.forward(convs + yolos)
    ok = True
    for name, a, b in zip(convs, raw, outs):
        off = float(np.abs(a - b[0]).max() / (1e-6 + np.sqrt(np.mean(a**2))))
        print(f"{name}: shape {a.shape}, largest difference {off:.1e} of rms")
        ok &= off < 0.01

    ours = darknet.suppress(*darknet.decode(net, raw, 0.25))
    theirs = darknet.suppress(*candidates(net, outs[len(convs) :], 0.25))
    print(f"{len(ours)} detections here, {len(theirs)} there")
    ok &= len(ours) == len(theirs) > 0
    for score, c, box in ours:
        like = [(darknet.iou(box, b[None])[0], abs(score - s)) for s, k, b in theirs if k == c]
        over, off = max(like, default=(0, 1))
        good = over > 0.99 and off < 0.01
        ok &= bool(good)
        print(f"{draw.NAMES[c]:9} {score:.4f}  IoU {over:.5f}  score difference {off:.1e}  {'ok' if good else 'DIFFERS'}")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
