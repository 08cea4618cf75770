"""Darknet's side of the demo: cfg, weights file, picture to tensor, boxes, suppression.

Small on purpose: it knows the layers that `demo.cfg` uses and computes them as Darknet does (AlexeyAB's batch-norm
epsilon, 1e-5 inside the root).
"""

import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def read_cfg(path):
    """Sections in order: `(name, {key: value})`. Spaces vanish, the first of two equal keys wins."""
    sections = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = "".join(line.split())
            if not line or line[0] in "#;":
                continue
            if line[0] == "[":
                sections.append((line[1:-1], {}))
            else:
                key, value = line.split("=", 1)
                sections[-1][1].setdefault(key, value)
    return sections


class Conv(nn.Module):
    def __init__(self, cin, o):
        super().__init__()
        n, k = int(o["filters"]), int(o.get("size", 1))
        norm = int(o.get("batch_normalize", 0))
        pad = k // 2 if int(o.get("pad", 0)) else int(o.get("padding", 0))
        self.conv = nn.Conv2d(cin, n, k, int(o.get("stride", 1)), pad, bias=not norm)
        self.norm = nn.BatchNorm2d(n, eps=1e-5, momentum=0.03) if norm else None
        self.leaky = o.get("activation", "logistic") == "leaky"
        assert self.leaky or o["activation"] == "linear"

    def forward(self, x):
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.leaky_relu(x, 0.1) if self.leaky else x


class Pool(nn.Module):
    """Max pool whose window may hang over the right and lower edge; what is outside the map does not count."""

    def __init__(self, o):
        super().__init__()
        self.stride = int(o.get("stride", 1))
        self.size = int(o.get("size", self.stride))
        assert self.size == 2 and "padding" not in o

    def forward(self, x):
        if self.stride == 1 or x.shape[2] % 2 or x.shape[3] % 2:
            x = F.pad(x, (0, 1, 0, 1), value=-torch.inf)
        return F.max_pool2d(x, 2, self.stride)


class Network(nn.Module):
    """The network of a cfg. `forward` returns the raw input of each yolo layer, B x (3*(5+classes)) x H x W."""

    def __init__(self, cfg):
        super().__init__()
        (name, net), *sections = read_cfg(cfg)
        assert name == "net"
        self.width, self.height = int(net["width"]), int(net["height"])
        self.sections, self.layers, self.heads = sections, nn.ModuleList(), []
        channels = []
        for i, (name, o) in enumerate(sections):
            c = channels[-1] if channels else int(net["channels"])
            layer = nn.Identity()
            if name == "convolutional":
                layer, c = Conv(c, o), int(o["filters"])
            elif name == "maxpool":
                layer = Pool(o)
            elif name == "upsample":
                layer = nn.Upsample(scale_factor=int(o["stride"]), mode="nearest")
            elif name == "route":
                layer.sources = [int(v) if int(v) >= 0 else i + int(v) for v in o["layers"].split(",")]
                c = sum(channels[s] for s in layer.sources)
            elif name == "yolo":
                pairs = np.array([float(v) for v in o["anchors"].split(",")], np.float32).reshape(-1, 2)
                mask = [int(v) for v in o["mask"].split(",")]
                self.classes = int(o["classes"])
                assert c == len(mask) * (5 + self.classes)
                self.heads.append((i, mask, pairs))
            else:
                raise ValueError(f"layer {i}: [{name}] is not known here")
            self.layers.append(layer)
            channels.append(c)

    def forward(self, x):
        outs, raw = [], []
        for (name, _), layer in zip(self.sections, self.layers):
            if name == "route":
                x = torch.cat([outs[s] for s in layer.sources], 1)
            elif name == "yolo":
                raw.append(x)
            else:
                x = layer(x)
            outs.append(x)
        return raw

    def _arrays(self):
        """The float arrays of the weights file, in its order."""
        for layer in self.layers:
            if isinstance(layer, Conv):
                n = layer.norm
                yield from [layer.conv.bias] if n is None else [n.bias, n.weight, n.running_mean, n.running_var]
                yield layer.conv.weight

    def save_weights(self, path, seen):
        with open(path, "wb") as f:
            f.write(struct.pack("<iiiQ", 0, 2, 5, seen))
            for a in self._arrays():
                f.write(a.detach().numpy().astype("<f4").tobytes())

    def load_weights(self, path):
        with open(path, "rb") as f:
            major, minor, _ = struct.unpack("<iii", f.read(12))
            f.read(8 if major * 10 + minor >= 2 else 4)
            data = np.frombuffer(f.read(), "<f4")
        at = 0
        with torch.no_grad():
            for a in self._arrays():
                a.copy_(torch.from_numpy(data[at : at + a.numel()].copy()).view_as(a))
                at += a.numel()
        assert at == data.size, f"weights hold {data.size} floats, the cfg wants {at}"


def to_tensor(picture, width, height):
    """H x W x 3 uint8 to 3 x height x width float32: stretched with Darknet's align-corners bilinear rule."""
    p = picture.astype(np.float32) / np.float32(255)
    ih, iw, _ = p.shape
    one = np.float32(1)
    if iw != width:
        at = np.arange(width, dtype=np.float32) * (np.float32(iw - 1) / np.float32(width - 1))
        i = np.minimum(at.astype(int), iw - 1)
        d = (at - i.astype(np.float32))[None, :, None]
        mixed = (one - d) * p[:, i] + d * p[:, np.minimum(i + 1, iw - 1)]
        mixed[:, -1] = p[:, -1]
        p = mixed
    if ih != height:
        at = np.arange(height, dtype=np.float32) * (np.float32(ih - 1) / np.float32(height - 1))
        i = np.minimum(at.astype(int), ih - 1)
        d = (at - i.astype(np.float32))[:, None, None]
        low = d * p[np.minimum(i + 1, ih - 1)]
        low[-1] = 0
        p = (one - d) * p[i] + low
    return np.ascontiguousarray(p.transpose(2, 0, 1))


def logistic(x):
    return 1 / (1 + np.exp(-x))


def decode(net, raw, thresh):
    """Raw head outputs of one picture to `(box, class)` candidates: arrays n x 4 (cx, cy, w, h) and n x classes."""
    boxes, probs = [], []
    for (_, mask, pairs), r in zip(net.heads, raw):
        _, h, w = r.shape
        r = r.reshape(len(mask), 5 + net.classes, h, w).transpose(2, 3, 0, 1)  # rows, columns, slots
        col, row = np.arange(w, dtype=np.float32)[None, :, None], np.arange(h, dtype=np.float32)[:, None, None]
        box = np.stack(
            [
                (col + logistic(r[..., 0])) / w,
                (row + logistic(r[..., 1])) / h,
                np.exp(r[..., 2]) * pairs[mask, 0] / net.width,
                np.exp(r[..., 3]) * pairs[mask, 1] / net.height,
            ],
            -1,
        )
        objectness = logistic(r[..., 4])
        prob = objectness[..., None] * logistic(r[..., 5:])
        prob[prob <= thresh] = 0
        keep = objectness > thresh
        boxes.append(box[keep])
        probs.append(prob[keep])
    return np.concatenate(boxes), np.concatenate(probs)


def iou(a, b):
    """IoU of one box with n boxes, (cx, cy, w, h)."""
    over = np.minimum(a[:2] + a[2:] / 2, b[:, :2] + b[:, 2:] / 2) - np.maximum(a[:2] - a[2:] / 2, b[:, :2] - b[:, 2:] / 2)
    inter = np.prod(np.maximum(over, 0), 1)
    return inter / (a[2] * a[3] + b[:, 2] * b[:, 3] - inter)


def suppress(boxes, probs, limit=0.45):
    """Per class by falling score: drop what overlaps an earlier box by more than `limit`.

    Returns `(score, class, box)`, best first.
    """
    found = []
    for c in range(probs.shape[1]):
        order = [k for k in np.argsort(-probs[:, c], kind="stable") if probs[k, c] > 0]
        while order:
            k = order.pop(0)
            found.append((float(probs[k, c]), c, boxes[k]))
            if order:
                over = iou(boxes[k], boxes[order])
                order = [j for j, v in zip(order, over) if v <= limit]
    return sorted(found, key=lambda f: -f[0])


def detect(net, picture, thresh=0.25):
    x = torch.from_numpy(to_tensor(picture, net.width, net.height))[None]
    with torch.no_grad():
        raw = [r[0].numpy() for r in net(x)]
    return suppress(*decode(net, raw, thresh))
