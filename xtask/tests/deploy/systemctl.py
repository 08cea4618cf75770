#!/usr/bin/env python3
"""Stands in for systemctl where no systemd runs: it starts, watches and ends one unit as its file says.

The unit's process gets its credentials, its folder of state, a user of its own, NOTIFY_SOCKET and WATCHDOG_USEC. `start` waits
for READY=1. A process that ends, or whose WATCHDOG=1 does not come, is started again. Keys that this file does not know are an
error, so that a test notices a new one.
"""
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

RUN = "/run/stand-in"
UNITS = "/etc/systemd/system"
USER = 61184
KNOWN = """Description Wants After StartLimitIntervalSec Type WorkingDirectory Environment EnvironmentFile ExecStart LoadCredential
TimeoutStartSec TimeoutStopSec WatchdogSec Restart RestartSec DynamicUser StateDirectory StateDirectoryMode WantedBy""".split()
# What only a kernel with systemd can take away.
RIGHTS = re.compile(
    "Protect|Private|Restrict|Lock|Memory|NoNew|System|Capability|Ambient|UMask|Limit|OOM|Device|Supplementary"
)


def path(name):
    return os.path.join(RUN, name)


def read_unit(unit):
    keys = {}
    with open(os.path.join(UNITS, unit)) as lines:
        for line in map(str.strip, lines):
            if not line or line[0] in "#[":
                continue
            key, value = line.split("=", 1)
            if key not in KNOWN and not RIGHTS.match(key):
                sys.exit(f"systemctl: unknown key {key}")
            keys.setdefault(key, []).append(value)
    return keys


def state(unit):
    try:
        with open(path(unit + ".json")) as file:
            return json.load(file)
    except FileNotFoundError:
        return {"ActiveState": "inactive", "MainPID": 0, "StatusText": "", "NRestarts": 0}


def write_state(unit, now):
    with open(path(unit + ".json.new"), "w") as file:
        json.dump(now, file)
    os.rename(path(unit + ".json.new"), path(unit + ".json"))


def keeper(unit):
    """The pid of the process that watches the unit; None if none runs."""
    try:
        with open(path(unit + ".pid")) as file:
            pid = int(file.read())
        os.kill(pid, 0)
        return pid
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None


def expand(word, env):
    return re.sub(r"\$\{(\w+)\}", lambda m: env.get(m[1], ""), word)


def command(keys, env):
    words = []
    for word in shlex.split(keys["ExecStart"][-1]):
        if re.fullmatch(r"\$\w+", word):
            words += env.get(word[1:], "").split()
        else:
            words.append(expand(word, env))
    return words


def environment(unit, keys):
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    for text in keys.get("Environment", []):
        name, _, value = text.partition("=")
        env[name] = value
    for file in keys.get("EnvironmentFile", []):
        if os.path.exists(file.lstrip("-")):
            with open(file.lstrip("-")) as lines:
                for line in map(str.strip, lines):
                    if line and line[0] != "#":
                        name, _, value = line.partition("=")
                        env[name] = value.strip('"')
    credentials = f"/run/credentials/{unit}"
    shutil.rmtree(credentials, ignore_errors=True)
    os.makedirs(credentials)
    for text in keys.get("LoadCredential", []):
        name, _, source = text.partition(":")
        shutil.copyfile(source, os.path.join(credentials, name))
        os.chmod(os.path.join(credentials, name), 0o400)
        os.chown(os.path.join(credentials, name), USER, USER)
    os.chmod(credentials, 0o500)
    os.chown(credentials, USER, USER)
    env["CREDENTIALS_DIRECTORY"] = credentials
    for name in keys.get("StateDirectory", []):
        real = f"/var/lib/private/{name}"
        os.makedirs(real, exist_ok=True)
        # systemd shows the unit what others may not enter.
        os.chmod("/var/lib/private", 0o755)
        os.chown(real, USER, USER)
        if not os.path.lexists(f"/var/lib/{name}"):
            os.symlink(f"private/{name}", f"/var/lib/{name}")
        env["STATE_DIRECTORY"] = f"/var/lib/{name}"
    return env


def seconds(keys, name):
    return float(keys[name][-1])


def keep(unit):
    """Runs the unit until this process is told to end."""
    keys = read_unit(unit)
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    now = {"ActiveState": "activating", "MainPID": 0, "StatusText": "", "NRestarts": 0}
    log = open(path(unit + ".log"), "ab", buffering=0)
    while not told:
        env = environment(unit, keys)
        name = path("notify")
        if os.path.exists(name):
            os.unlink(name)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(name)
        os.chmod(name, 0o666)
        listener.settimeout(0.1)
        env["NOTIFY_SOCKET"] = name
        watchdog = seconds(keys, "WatchdogSec")
        env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))

        def become():
            os.setsid()
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)

        child = subprocess.Popen(
            command(keys, env), env=env, cwd=keys["WorkingDirectory"][-1], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, preexec_fn=become,
        )
        now.update(ActiveState="activating", MainPID=child.pid, StatusText="")
        write_state(unit, now)
        begun = beat = time.monotonic()
        ready = False
        while child.poll() is None and not told:
            try:
                lines = listener.recv(65536).decode().split("\n")
            except socket.timeout:
                lines = []
            for line in lines:
                key, _, value = line.partition("=")
                if line == "READY=1":
                    ready, beat = True, time.monotonic()
                    now["ActiveState"] = "active"
                elif line == "WATCHDOG=1":
                    beat = time.monotonic()
                elif line == "STOPPING=1":
                    now["ActiveState"] = "deactivating"
                elif key == "STATUS":
                    now["StatusText"] = value
            if lines:
                write_state(unit, now)
            late = time.monotonic() - beat > watchdog
            if ready and late or not ready and time.monotonic() - begun > seconds(keys, "TimeoutStartSec"):
                log.write(b"stand-in: watchdog\n" if ready else b"stand-in: not ready in time\n")
                child.send_signal(signal.SIGABRT)
                child.send_signal(signal.SIGCONT)
                break
        if told:
            child.terminate()
        try:
            child.wait(seconds(keys, "TimeoutStopSec"))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        listener.close()
        now.update(ActiveState="inactive" if told else "activating", MainPID=0, StatusText="")
        if not told:
            now["NRestarts"] += 1
            now["LastReady"] = ready
        write_state(unit, now)
        for _ in range(int(10 * seconds(keys, "RestartSec"))):
            if not told:
                time.sleep(0.1)
    os.unlink(path(unit + ".pid"))


def stop(unit):
    pid = keeper(unit)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    while keeper(unit) is not None:
        time.sleep(0.05)


def start(unit):
    if keeper(unit) is None:
        if os.fork() == 0:
            os.setsid()
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            with open(path(unit + ".pid"), "w") as file:
                file.write(str(os.getpid()))
            write_state(unit, {"ActiveState": "activating", "MainPID": 0, "StatusText": "", "NRestarts": 0})
            keep(unit)
            os._exit(0)
        while keeper(unit) is None:
            time.sleep(0.02)
    while True:
        now = state(unit)
        if now["ActiveState"] == "active":
            return
        if now["NRestarts"] > 0:
            sys.exit(f"Job for {unit} failed because the control process exited with error code.")
        time.sleep(0.05)


def main():
    os.makedirs(RUN, exist_ok=True)
    flags = [a for a in sys.argv[1:] if a.startswith("--")]
    rest = [a for a in sys.argv[1:] if not a.startswith("--")]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if "--version" in flags:
        print("systemd 252 (stand-in)")
        return
    verb, rest = rest[0], rest[1:]
    if verb == "show":
        at = rest.index("-p")
        name, unit = rest[at + 1], (rest[:at] + rest[at + 2:])[0]
        print(state(unit).get(name, ""))
        return
    enabled = path("enabled")
    for unit in rest:
        if verb in ("start", "restart", "enable") and not os.path.exists(os.path.join(UNITS, unit)):
            sys.exit(f"Unit {unit} not found.")
        if verb == "enable":
            open(enabled, "w").close()
        if verb == "disable" and os.path.exists(enabled):
            os.unlink(enabled)
        if verb in ("stop", "restart") or verb == "disable" and "--now" in flags:
            stop(unit)
        if verb in ("start", "restart") or verb == "enable" and "--now" in flags:
            start(unit)


main()
