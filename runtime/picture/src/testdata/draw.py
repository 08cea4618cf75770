"""Draws the pictures of this folder (Pillow 13, libjpeg-turbo): one drawing, in every form of JPEG."""
import numpy as np
from PIL import Image

y, x = np.mgrid[0:27, 0:43]
red = 40 + 4 * x
green = 230 - 6 * y
blue = 128 + 100 * np.sin(x / 3.0) * np.cos(y / 4.0)
drawing = np.stack([red, green, blue], -1)
drawing[6:18, 10:22] = (250, 240, 20)
drawing[(x - 31) ** 2 + (y - 14) ** 2 < 40] = (20, 30, 160)
drawing = Image.fromarray(drawing.clip(0, 255).astype(np.uint8))

for name, options in {
    "sequential": dict(subsampling="4:2:0"),
    "restarts": dict(subsampling="4:2:2", restart_marker_blocks=2),
    "progressive": dict(subsampling="4:2:0", progressive=True),
    "progressive-restarts": dict(subsampling="4:4:4", progressive=True, restart_marker_blocks=5),
}.items():
    drawing.save(name + ".jpg", quality=70, optimize=True, **options)
drawing.convert("L").save("grey.jpg", quality=70, optimize=True)
drawing.convert("CMYK").save("four.jpg", quality=60, optimize=True)
