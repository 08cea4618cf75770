"""A camera that speaks RTSP: ffmpeg shows a picture again and again, and its RTP packets go to whoever plays, over the client's own connection (RFC 2326, section 10.12)."""
import contextlib, os, socket, struct, subprocess, tempfile, threading

# Of a request, and of a datagram; clients at a time.
REQUEST_MAX, PACKET_MAX, CLIENTS_MAX = 16 << 10, 65535, 8


class Camera:
    def __init__(self, address, picture, port=554):
        self.work = tempfile.TemporaryDirectory(prefix="tessera-camera-")
        self.players, self.lock = set(), threading.Lock()
        self.packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.packets.bind(("127.0.0.1", 0))
        self.listener = socket.create_server((address, port))
        sdp = os.path.join(self.work.name, "sdp")
        # Whoever comes later gets the decoder's parameters with the next key frame.
        self.ffmpeg = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-loop", "1", "-framerate", "10", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
             "-pix_fmt", "yuv420p", "-crf", "18", "-g", "10", "-x264-params", "repeat-headers=1", "-f", "rtp", "-sdp_file", sdp,
             f"rtp://127.0.0.1:{self.packets.getsockname()[1]}?pkt_size=1200"], stdin=subprocess.DEVNULL)
        self.packets.recv(PACKET_MAX)
        # Addresses of the description are ffmpeg's own; a client has its connection.
        with open(sdp) as f:
            lines = [line for line in f.read().splitlines() if line.startswith(("v=", "o=", "s=", "t=", "a="))]
        with open(sdp) as f:
            format = next(line for line in f.read().splitlines() if line.startswith("m=video")).split()[3]
        at = next((k for k, line in enumerate(lines) if line.startswith("a=rtpmap")), len(lines))
        lines[at:at] = ["c=IN IP4 0.0.0.0", f"m=video 0 RTP/AVP {format}"]
        self.description = "\r\n".join(lines + ["a=control:trackID=0", ""])
        for work in (self.forward, self.accept):
            threading.Thread(target=work, daemon=True).start()

    def forward(self):
        while packet := self.packets.recv(PACKET_MAX):
            framed = struct.pack(">cBH", b"$", 0, len(packet)) + packet
            with self.lock:
                for player in list(self.players):
                    try:
                        player.sendall(framed)
                    except OSError:
                        self.players.discard(player)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with self.lock:
                    full = len(self.players) >= CLIENTS_MAX
                if full:
                    client.close()
                    continue
                client.settimeout(60)
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, contextlib.suppress(OSError, ValueError):
            kept = b""
            while True:
                # What a client says of its reception is passed over.
                while kept[:1] == b"$" and len(kept) >= 4 and len(kept) >= 4 + struct.unpack(">H", kept[2:4])[0]:
                    kept = kept[4 + struct.unpack(">H", kept[2:4])[0]:]
                if kept[:1] != b"$" and b"\r\n\r\n" in kept:
                    head, _, kept = kept.partition(b"\r\n\r\n")
                    self.answer(client, head.decode())
                    continue
                more = client.recv(4096)
                kept += more
                if not more or len(kept) > REQUEST_MAX:
                    break
        with self.lock:
            self.players.discard(client)

    def answer(self, client, head):
        request, *fields = head.split("\r\n")
        verb, url, _ = request.split(" ")
        fields = {name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
        lines, body, status = [f"CSeq: {fields.get('cseq', '0')}", "Session: 1"], "", "200 OK"
        if verb == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif verb == "DESCRIBE":
            body = self.description
            lines += ["Content-Type: application/sdp", f"Content-Base: {url}/", f"Content-Length: {len(body)}"]
        elif verb == "SETUP" and "TCP" not in fields.get("transport", ""):
            status = "461 Unsupported Transport"
        elif verb == "SETUP":
            lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        elif verb not in ("PLAY", "TEARDOWN", "GET_PARAMETER"):
            status = "501 Not Implemented"
        with self.lock:
            client.sendall(("\r\n".join([f"RTSP/1.0 {status}", *lines, "", ""]) + body).encode())
            if verb == "PLAY":
                self.players.add(client)
            elif verb == "TEARDOWN":
                self.players.discard(client)

    def end(self):
        self.ffmpeg.kill()
        self.ffmpeg.wait()
        self.listener.close()
        self.work.cleanup()
