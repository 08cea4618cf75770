"""A stand-in for Frigate's detector plug-in `zmq`, written from what is known of its exchanges: one REQ socket, one request in
flight, a handshake about the model, rows of objects; and what the plug-in does when time is over.

Usage: frigate.py PART ENDPOINT HEIGHT WIDTH RGB_FILE
"""

import json
import struct
import sys
import threading

import zmq

ROWS, VALUES = 20, 6
REPLY_BYTES = 4 * ROWS * VALUES
HANDSHAKE_MS = 30_000
PATIENT_MS = 60_000


class Plugin:
    """What the plug-in does, with its names for its settings."""

    def __init__(self, endpoint, request_timeout_ms=PATIENT_MS, handshake_ms=HANDSHAKE_MS):
        self.endpoint, self.timeout = endpoint, request_timeout_ms
        self.handshake_ms = handshake_ms
        self.context = zmq.Context.instance()
        self.socket = None
        self.resets = 0
        self.connect()
        self.ready = self.handshake()

    def connect(self):
        if self.socket is not None:
            self.socket.close()
            self.resets += 1
        self.socket = self.context.socket(zmq.REQ)
        self.socket.setsockopt(zmq.RCVTIMEO, self.timeout)
        self.socket.setsockopt(zmq.SNDTIMEO, self.timeout)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(self.endpoint)

    def handshake(self):
        request = {"model_request": True, "model_name": "tessera.model"}
        try:
            self.socket.send_multipart([json.dumps(request).encode()])
            self.socket.setsockopt(zmq.RCVTIMEO, self.handshake_ms)
            reply = self.socket.recv_multipart()
        except zmq.ZMQError:
            return False
        finally:
            self.socket.setsockopt(zmq.RCVTIMEO, self.timeout)
        if len(reply) != 1:
            return False
        answer = json.loads(reply[0])
        return answer.get("model_available") is True and answer.get("model_loaded") is True

    def ask(self, frames):
        """The reply's frames, or None after the plug-in's way out of a time-out."""
        try:
            self.socket.send_multipart(frames)
            return self.socket.recv_multipart()
        except zmq.ZMQError:
            self.connect()
            self.handshake()
            return None

    def detect(self, shape, dtype, data):
        header = {"shape": shape, "dtype": dtype, "model_type": "yologeneric"}
        return self.rows(self.ask([json.dumps(header).encode(), data]))

    @staticmethod
    def rows(reply):
        if reply is None:
            return None
        assert len(reply) == 1 and len(reply[0]) == REPLY_BYTES, [len(f) for f in reply]
        values = struct.unpack(f"<{ROWS * VALUES}f", reply[0])
        rows = [values[i : i + VALUES] for i in range(0, len(values), VALUES)]
        assert all(v == v and abs(v) <= 100 for v in values), "no NaN, nothing endless"
        scores = [row[1] for row in rows]
        assert scores == sorted(scores, reverse=True), scores
        # As the plug-in's reader does: it stops at the first that it is not sure of.
        found = []
        for row in rows:
            if row[1] < 0.4:
                break
            found.append(row)
        assert all(v == 0 for row in rows[len(found) :] for v in row), "the rest is zero"
        return found


endpoint, height, width = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with open(sys.argv[5], "rb") as file:
    RGB = file.read()
assert len(RGB) == height * width * 3
NHWC, NCHW = [1, height, width, 3], [1, 3, height, width]


def floats(values, scale):
    return struct.pack(f"<{len(values)}f", *(v / scale for v in values))


def session():
    """The exchanges of a whole life, and nonsense between them."""
    plugin = Plugin(endpoint)
    assert plugin.ready
    found = plugin.detect(NHWC, "uint8", RGB)
    assert found, "objects"
    planes = b"".join(RGB[c::3] for c in range(3))
    for shape, dtype, data in [
        (NCHW, "uint8", planes),
        ([height, width, 1, 3], "uint8", RGB),
        ([height, width, 3, 1], "uint8", RGB),
        (NHWC, "float32", floats(RGB, 255)),
        (NCHW, "float32", floats(planes, 255)),
        (NCHW, "float32", floats(planes, 1)),
    ]:
        assert plugin.detect(shape, dtype, data) == found, (shape, dtype)
    header = json.dumps({"shape": NHWC, "dtype": "uint8", "model_type": "ssd"}).encode()
    for frames in [
        [b""],
        [b"{"],
        [b"{}"],
        [b"[1]", RGB],
        [header],
        [header, RGB[1:]],
        [header, RGB + b"x"],
        [header, b""],
        [header, RGB, RGB],
        [b'{"shape": [1, 99999999, 99999999, 3], "dtype": "uint8"}', RGB],
        [b'{"shape": [1, -1, 2, 3], "dtype": "uint8"}', RGB],
        [json.dumps({"shape": NHWC, "dtype": "int64"}).encode(), RGB],
        # Longer than anything that is kept.
        [header, bytes(20_000_000)],
    ]:
        assert plugin.rows(plugin.ask(frames)) == [], frames[0]
    # A model's file, though nobody has asked for one.
    reply = plugin.ask([json.dumps({"model_data": True, "model_name": "m"}).encode(), bytes(30_000_000)])
    answer = json.loads(reply[0])
    assert len(reply) == 1 and answer["model_saved"] is True and answer["model_loaded"] is True
    assert plugin.handshake(), "as often as anybody likes"
    assert plugin.detect(NHWC, "uint8", RGB) == found, "nothing of that has changed anything"
    assert plugin.resets == 0, "every request had its reply"
    # A picture of another size is stretched.
    small = b"".join(RGB[3 * (y * width) : 3 * (y * width + width - 2)] for y in range(height - 2))
    assert plugin.detect([1, height - 2, width - 2, 3], "uint8", small)
    return found


def vanish():
    """Clients that go away between request and reply, and two at once."""
    header = json.dumps({"shape": NHWC, "dtype": "uint8", "model_type": "ssd"}).encode()
    for _ in range(5):
        gone = Plugin(endpoint)
        gone.socket.send_multipart([header, RGB])
        gone.socket.close()
    first = Plugin(endpoint)
    found = first.detect(NHWC, "uint8", RGB)
    assert found
    results = []

    def detector():
        plugin = Plugin(endpoint)
        for _ in range(5):
            results.append(plugin.detect(NHWC, "uint8", RGB) == found)

    threads = [threading.Thread(target=detector) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 10, results
    return found


def impatient():
    """The plug-in's time is over: a new socket and a new handshake, then it goes on."""
    plugin = Plugin(endpoint, request_timeout_ms=200)
    assert plugin.ready
    assert plugin.detect(NHWC, "uint8", RGB) is None
    assert plugin.resets == 1
    print("late", flush=True)
    sys.stdin.readline()
    plugin.timeout = PATIENT_MS
    plugin.connect()
    assert plugin.handshake()
    found = plugin.detect(NHWC, "uint8", RGB)
    assert found
    return found


def late():
    """The cluster's time is over: a reply without objects, instead of silence."""
    plugin = Plugin(endpoint)
    assert plugin.ready
    assert plugin.detect(NHWC, "uint8", RGB) == []
    assert plugin.resets == 0
    return []


def early():
    """The client asks before there is a gateway."""
    print("asks", flush=True)
    plugin = Plugin(endpoint, handshake_ms=PATIENT_MS)
    assert plugin.ready
    return plugin.detect(NHWC, "uint8", RGB)


print(json.dumps(globals()[sys.argv[1]]()), flush=True)
