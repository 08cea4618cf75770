#!/bin/sh
# Starts the node as the app's options say.
set -eu

data=${TESSERA_DATA:-/data}
config=${TESSERA_CONFIG:-/config}
home=${TESSERA_HOME:-/opt/tessera}
supervisor=${TESSERA_SUPERVISOR:-http://supervisor}
secrets=${TESSERA_SECRETS:-/run/tessera}

option() { jq -r --arg key "$1" '.[$key] // "" | tostring' "$data/options.json"; }
name=$(option name)
role=$(option role)
token=$(option http_token)

for file in cluster.toml cluster.secret "$name.key"; do
    if [ ! -f "$config/$file" ]; then
        echo "There is no $file in the app's configuration folder; the documentation says how to make it." >&2
        exit 1
    fi
done

# A node takes keys that nobody else may read, whatever the folder's files allow.
umask 077
mkdir -p "$secrets"
cp "$config/cluster.secret" "$secrets/cluster.secret"
cp "$config/$name.key" "$secrets/node.key"

set -- "$role" --config "$config/cluster.toml" --name "$name" \
    --key "$secrets/node.key" --secret "$secrets/cluster.secret" --weights "$home/weights.bin"
if [ "$role" = gateway ]; then
    set -- "$@" --records "$data/records.jsonl" --rotate 64
    if [ -n "$token" ]; then
        printf '%s\n' "$token" >"$secrets/http.token"
        set -- "$@" --http 0.0.0.0:32168 --http-token "$secrets/http.token"
    else
        # Home Assistant is on this machine's network, too.
        set -- "$@" --http 127.0.0.1:32168
    fi
    # Absent: no broker is installed. The node goes on without.
    if broker=$(curl -sf -m 10 -H "Authorization: Bearer ${SUPERVISOR_TOKEN:-}" "$supervisor/services/mqtt"); then
        said() { printf '%s' "$broker" | jq -r --arg key "$1" '.data[$key] // "" | tostring'; }
        if [ "$(said ssl)" = true ]; then
            echo "The broker wants TLS, which nodes do not speak: nothing is told to it." >&2
        elif [ -n "$(said host)" ]; then
            set -- "$@" --mqtt "$(said host):$(said port)"
            if [ -n "$(said username)" ]; then
                printf '%s:%s\n' "$(said username)" "$(said password)" >"$secrets/mqtt.login"
                set -- "$@" --mqtt-login "$secrets/mqtt.login"
            fi
        fi
    fi
fi
# Flags are words.
# shellcheck disable=SC2046
exec "$home/node" "$@" $(option cores) $(option flags)
