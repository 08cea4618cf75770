//! What `node --help` says.

pub(super) const TEXT: &str = "\
A node of a cluster that computes one compiled network.

Usage: node [--program NAME] ROLE [FLAGS]

Roles
  gateway   matches nodes, merges what they computed, computes the rest, writes records
            --listen ADDR:PORT [--threads N] [--workers N [--worker-threads N]] [--frames N]
            [--end-cluster] [--dump DIR] [--http ADDR:PORT [--http-token FILE]]
  edge      computes tasks; brings frames when it has inputs
            --gateway HOST:PORT --id N [--listen ADDR:PORT] [--workers N] [--threads N] [inputs]
            [--verify SHARE]
  solo      everything in this process, no network
            inputs [--threads N] [--repeat N [--profile]] [--guard] [--dump DIR] [--late-strips all]
  probe     measures its links to other probes, and its speed, when cargo xtask calibrate --cluster asks
            --listen ADDR:PORT
  doctor    looks for what is likely to be wrong with this board, its network and its cameras; exit status 1 if
            anything is (docs/doctor.md)
            [--config FILE --name NAME] [inputs] [--json] [--root DIR]
  observe   reads a cluster's records from its gateway and prints them, as the observer NAME of cluster.toml
            --config FILE --name NAME [--gateway HOST:PORT] [--frames N] [--stats FILE]
  info      prints what was compiled in
  join      joins a cluster: node join CODE --at HOST:PORT, as cargo xtask cluster pair shows them; writes
            cluster.toml and this board's keys there, or into --into DIR
  keygen    makes this board's key pair: node keygen [FILE], by default node.key; prints the public key for
            cluster.toml

Inputs
  --source [NAME=]FROM... a picture, a video, a folder, a pattern ('shots/**/*.jpg'), a list (.txt, .csv, .streams; .toml: its [[source]] tables),
                        a camera's number (0 is /dev/video0), v4l2:DEVICE, pi: (ribbon cable), a URL
                        (rtsp://camera/live), - (standard input) or test:. Up to 16 at once; all but
                        pictures need ffmpeg
  --fps [NAME=]N        at most so many frames a second, of the source NAME or of all
  --keep [NAME=]WHICH   all: no frame is left out; newest: those that come faster than the cluster computes
                        are [default: all of files, the newest of cameras and streams]
  --timeout [NAME=]S    begin a stream anew after so many seconds without a frame [default: 5]
  --image FILE...       pictures (PNG, JPEG, BMP, PNM)
  --input-f32 FILE...   raw little-endian float32 tensors, C x H x W
  --letterbox           keep the pictures' shape instead of stretching them
  --ignore-orientation  take pictures as they are stored, instead of turning them upright as their
                        EXIF data ask for

Flags
  --weights FILE        packed weights [default: weights.bin]
  --listen ADDR:PORT    address of this node, as in 192.168.1.10:7400, or 0.0.0.0:7400 for all of the
                        board's; port 0 lets the system choose, the gateway prints it
                        [edge default: any port of loopback, or of all interfaces]
  --gateway HOST:PORT   where the gateway listens, as in 192.168.1.10:7400, raspberrypi.local:7400 or
                        [fd00::10]:7400; it may be started later. A name is looked up anew when the
                        gateway is silent
  --id N                number of this edge, from 1; every edge of a cluster has another. For a gateway with
                        --workers, number of its board's edge [default: 65535]
  --workers N           worker processes of an edge, one task each [default: 1]. A gateway with it starts
                        an edge on its own board too, which ends with it, and writes statistics to
                        FILE.edge [default: the gateway's board computes the tail only]
  --threads N           threads that share the layers of the tail, of a worker's task, or of solo;
                        for workers where boards have more cores than tiles at a time [default: 1]
  --worker-threads N    the same for workers of the edge on a gateway's board [default: 1]
  --frames N            end the cluster after so many records [default: run until SIGTERM]
  --verify SHARE        compute so much of what other boards computed for this source's frames again, and compare
                        the bits: 0.05 is every twentieth task. Who is wrong twice is left out [default: 0]
  --end-cluster         when this gateway ends, its edges end too [default: they wait for it to come back]
  --http ADDR:PORT      a gateway answers over HTTP there, as in 127.0.0.1:32168: health, metrics, status, and with
                        --workers detection of posted pictures (docs/service.md). Needs a node with the
                        service built in [default: nowhere]
  --http-token FILE     file (mode 600) of the word that clients must send; needed where other machines can ask
                        [default: the credential http.token, or http.token beside cluster.toml, if it is there]
  --http-profile WHICH  how failures of detection are told: deepstack by status codes, codeproject with status
                        200 [default: deepstack]
  --http-deadline S     seconds that a posted picture has [default: 30]
  --zmq ENDPOINT        a gateway answers Frigate's ZeroMQ detector there, as in tcp://*:5555 or
                        ipc:///run/tessera/zmq (docs/frigate.md). Needs a node with the service built in, and --workers
                        [default: nowhere]
  --zmq-allow ADDR,..   addresses that may connect there from other machines, or any
  --zmq-deadline S      seconds that a tensor has until its answer; less than Frigate's request_timeout_ms
                        [default: 1.2]
  --thresh [NAME=]T     report boxes that score above T, of the source NAME or of all [default: 0.25]
  --nms T               suppress boxes that overlap a better one by more than T [default: 0.45]
  --names FILE          class names, one per line, for `label` in records
                        [default: weights.names beside weights.bin, if it is there]
  --records FILE        append records there, one JSON line a frame [default: standard output]; while they
                        cannot be written, a gateway takes no more frames
  --rotate MIB          begin a new file of records before it has so many MiB; the one before is FILE.1, the
                        oldest of those kept FILE.9 [default: one file]
  --coco FILE           COCO results too, the JSON array that pycocotools reads; a gateway goes on with one that
                        is there
  --yolo DIR            YOLO text too: DIR/PICTURE.txt for every picture with detections
  --yolo-scores         end the lines of --yolo with the score
  --alerts FILE         append what [[alert]] tables of the cluster file are about there, one JSON line each; of nodes
                        that were built with it (cargo xtask build --with alerts)
  --mqtt HOST[:PORT]    a gateway tells this broker of its frames, and Home Assistant of its devices; of nodes that
                        were built with it (cargo xtask build --with mqtt)
  --mqtt-login FILE     its first line is USER:PASSWORD for the broker
  --mqtt-classes A,B    names of the classes that are counted [default: those that most people ask for]
  --mqtt-id ID          what tells this cluster from others at the broker [default: made of the gateway's key, or
                        of the machine's id]
  --mqtt-prefix PREFIX  Home Assistant's; '' tells it nothing [default: homeassistant]
  --mqtt-remove         take back all that this cluster's gateway has left at the broker, and end
  --dump DIR            write layer_K.f32 (C x H x W) of the last frame's boundary tensors
  --stats FILE          write statistics there at the end and on SIGUSR1, as JSON
  --trace FILE          write what this node does and when, for Perfetto (docs/trace.md); a gateway with --workers
                        writes FILE.edge, too
  --json                doctor: print JSON
  --root DIR            doctor: look at the files of a board below DIR [default: /]
  --log LEVEL           what is said on standard error: off, error, warn, info, debug; also as TESSERA_LOG
                        [default: info]
  --stuck-after SECONDS replace a worker that has something to do and uses no processor time for so long
                        [default: 10]
  --repeat N            time so many runs of the first frame
  --profile             time every layer of them, and the processor's best possible speed
  --guard               poison working memory, put a page behind it that nobody may touch, and
                        print how much of it each task uses
  --late-strips LIST    of a plan whose borders are reused, take these strips as too late, so that they are
                        computed again: numbers of pairs of neighbours, as 0,3, or all
  --program NAME        which network, when several were compiled in

Keys, without which a node stays on loopback (cargo xtask cluster init makes them)
  --config FILE         cluster.toml: who may take part, with names, roles and public keys. Who is removed
                        there is out within a second. Says --id, --gateway and a gateway's --listen, too
  --name NAME           this board's name in that file
  --key FILE            this node's private key [default: the credential node.key, or NAME.key beside
                        cluster.toml]
  --secret FILE         what all nodes of the cluster share [default: the credential cluster.secret, or
                        cluster.secret beside the key]

SIGTERM, SIGHUP and Ctrl-C end a node orderly, within two seconds. Edges of a gateway that has ended wait for
it, and go on with their frames when it is back; SIGUSR2 to a gateway ends the whole cluster; an edge takes no
more frames of its own from then on. Exit status: 0; 1 after an error, or when an input could not be read; 2 when the
command line makes no sense. A service manager (NOTIFY_SOCKET, WATCHDOG_USEC) hears of the start, the state and the end.";
