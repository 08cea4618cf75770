#!/bin/sh
# The node starts with the board. Nothing starts before /etc/tessera holds what the unit asks for.
set -e
case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper unmask tessera-node.service >/dev/null || true
        deb-systemd-helper enable tessera-node.service >/dev/null || true
    fi
    # DPKG_ROOT: the files are another system's than the one that runs.
    if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        deb-systemd-invoke restart tessera-node.service >/dev/null || true
    fi
    ;;
esac
