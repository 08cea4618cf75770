"""Trains the demo network and writes demo.weights. The network itself is `demo.cfg`.

    python3 train.py [--epochs 22] [--pictures 12000] [--threads 1]

Draws its pictures first, then trains at float32 on the CPU, then keeps the running average of the weights.
Same seeds, versions and thread count give the same file; others give one as good.
"""

import argparse
import math
import pathlib
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F

import darknet
import draw

HERE = pathlib.Path(__file__).parent
SEED = 1  # of training pictures, [SEED, number]; the demo and evaluation pictures use other first numbers
MOST = 8  # things in a picture, at most


def make(job):
    """One training picture at network size, and its boxes padded to MOST rows (class -1: none)."""
    number, width, height = job
    rng = np.random.default_rng([SEED, number])
    w = (160, 160, 200, 320)[number % 4]
    picture, boxes = draw.scene(rng, w, w * 3 // 4)
    x = np.rint(darknet.to_tensor(picture, width, height) * 255).astype(np.uint8)
    t = np.full((MOST, 5), -1, np.float32)
    t[: len(boxes)] = np.array(boxes, np.float32).reshape(-1, 5)
    return x, t


def augment(rng, x, t):
    """Mirrors, swapped colour channels and a little brightness and contrast, for a whole batch."""
    x, t = x.float().div_(255), t.clone()
    for k in range(len(x)):
        if rng.random() < 0.5:
            x[k] = x[k].flip(2)
            t[k, :, 1] = 1 - t[k, :, 1]
        if rng.random() < 0.5:
            x[k] = x[k].flip(1)
            t[k, :, 2] = 1 - t[k, :, 2]
        x[k] = x[k, torch.from_numpy(rng.permutation(3))] * rng.uniform(0.8, 1.15) + rng.uniform(-0.08, 0.08)
    return x.clamp_(0, 1), t


def ciou(p, g):
    """Complete IoU of paired boxes (cx, cy, w, h), any unit; returns (iou, ciou)."""
    plo, phi, glo, ghi = p[..., :2] - p[..., 2:] / 2, p[..., :2] + p[..., 2:] / 2, g[..., :2] - g[..., 2:] / 2, g[..., :2] + g[..., 2:] / 2
    inter = (torch.minimum(phi, ghi) - torch.maximum(plo, glo)).clamp(min=0).prod(-1)
    iou = inter / (p[..., 2] * p[..., 3] + g[..., 2] * g[..., 3] - inter + 1e-6)
    across = (torch.maximum(phi, ghi) - torch.minimum(plo, glo)).square().sum(-1) + 1e-6
    off = (p[..., :2] - g[..., :2]).square().sum(-1) / across
    v = (torch.atan(g[..., 2] / g[..., 3]) - torch.atan(p[..., 2] / p[..., 3])).square() * (4 / math.pi**2)
    a = (v / (1 - iou + v + 1e-6)).detach()
    return iou, iou - off - a * v


def loss_of(net, raw, t):
    """Sum of box, objectness and class losses per picture.

    A thing belongs to the anchors whose shape has IoU over 0.5 with it and to the best one, in the cell of its centre.
    Slots that belong to nothing learn objectness 0, unless their box already lies well on some thing.
    """
    size = torch.tensor([net.width, net.height], dtype=torch.float32)
    pairs = torch.from_numpy(net.heads[0][2])
    bi, ti = torch.nonzero(t[..., 0] >= 0, as_tuple=True)
    g = t[bi, ti]
    wh = g[:, 3:] * size
    inter = torch.minimum(wh[:, None], pairs).prod(-1)
    shape = inter / (wh.prod(-1)[:, None] + pairs.prod(-1) - inter)
    mine = (shape > 0.5) | (shape == shape.amax(1, keepdim=True))
    gt = t[..., 1:] * size.repeat(2)
    total = 0
    for (_, mask, _), r in zip(net.heads, raw):
        b, _, h, w = r.shape
        r = r.view(b, len(mask), 5 + net.classes, h, w).permute(0, 3, 4, 1, 2)
        cell = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), -1)[:, :, None]
        xy = (cell + r[..., :2].sigmoid()) * (size / torch.tensor([w, h]))
        box = torch.cat([xy, r[..., 2:4].clamp(max=4).exp() * pairs[mask]], -1)
        with torch.no_grad():
            flat = box.view(b, -1, 1, 4)
            near = ciou(flat, gt.clamp(min=-1)[:, None])[0]
            near = torch.where(t[:, None, :, 0] >= 0, near, 0).amax(2).view(b, h, w, -1)
        want, care = torch.zeros_like(near), (near < 0.6).float()
        which, slot = torch.nonzero(mine[:, mask], as_tuple=True)
        k, c = bi[which], g[which]
        col, row = (c[:, 1] * w).long().clamp(0, w - 1), (c[:, 2] * h).long().clamp(0, h - 1)
        if len(which):
            _, quality = ciou(box[k, row, col, slot], c[:, 1:] * size.repeat(2))
            total = total + 3 * (1 - quality).sum()
            classes = F.one_hot(c[:, 0].long(), net.classes).float() * 0.98 + 0.01
            total = total + F.binary_cross_entropy_with_logits(r[k, row, col, slot, 5:], classes, reduction="sum")
            want[k, row, col, slot] = 1
            care[k, row, col, slot] = 2
        total = total + (F.binary_cross_entropy_with_logits(r[..., 4], want, reduction="none") * care).sum()
    return total / len(t)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--epochs", type=int, default=22)
    args.add_argument("--pictures", type=int, default=12000)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--batch", type=int, default=32)
    args.add_argument("--out", default=HERE / "demo.weights")
    args = args.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    net = darknet.Network(HERE / "demo.cfg").to(memory_format=torch.channels_last)
    print(f"{sum(a.numel() for a in net._arrays())} floats")
    start = time.time()
    with ProcessPoolExecutor(2) as pool:
        made = list(pool.map(make, [(k, net.width, net.height) for k in range(args.pictures)], chunksize=100))
    xs, ts = torch.from_numpy(np.stack([m[0] for m in made])), torch.from_numpy(np.stack([m[1] for m in made]))
    del made
    print(f"drew {len(xs)} pictures with {int((ts[..., 0] >= 0).sum())} things in {time.time() - start:.0f} s", flush=True)

    for i, _, _ in net.heads:  # start from "nothing here"
        bias = net.layers[i - 1].conv.bias.detach().view(3, -1)
        bias[:, 4] = -4
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim == 1]
    opt = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0}], lr=1e-3)
    steps = args.epochs * (len(xs) // args.batch)
    plan = torch.optim.lr_scheduler.OneCycleLR(opt, 5e-3, total_steps=steps, pct_start=0.1)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True)
    for epoch in range(args.epochs):
        order, running = rng.permutation(len(xs)), 0.0
        for s in range(len(xs) // args.batch):
            pick = torch.from_numpy(order[s * args.batch : (s + 1) * args.batch])
            x, t = augment(rng, xs[pick], ts[pick])
            loss = loss_of(net, net(x.to(memory_format=torch.channels_last)), t)
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 20)
            opt.step()
            plan.step()
            average.update_parameters(net)
            running += loss.item()
        print(f"epoch {epoch + 1}: loss {running / (s + 1):.3f}, {time.time() - start:.0f} s", flush=True)
        average.module.save_weights(args.out, seen=(epoch + 1) * len(xs))


if __name__ == "__main__":
    main()
