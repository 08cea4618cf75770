#!/bin/sh
# Purged: records go too. Keys in /etc/tessera stay: nobody but their board has them.
set -e
case "$1" in
remove)
    if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
    fi
    ;;
purge)
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper purge tessera-node.service >/dev/null || true
        deb-systemd-helper unmask tessera-node.service >/dev/null || true
    fi
    # The name in /var/lib is a link that systemd made.
    rm -rf "$DPKG_ROOT/var/lib/private/tessera"
    rm -rf "$DPKG_ROOT/var/lib/tessera"
    ;;
esac
