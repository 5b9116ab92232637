#!/bin/sh
# Makes what the servers of the centre need, once: a certificate for their names, a password for each
# account, and their configuration with it. What is there already is kept.
#   SITES="berlin paris" NAMES="centre.example.net" sh keys.sh FOLDER
# A site is given FOLDER/server.crt and FOLDER/sites/NAME.password.
set -eu
umask 077
here=$(dirname "$0")
folder=$1
servers='nats1.example.net nats2.example.net nats3.example.net localhost'
mkdir -p "$folder/sites"

if [ ! -e "$folder/server.crt" ]; then
    names=$(for name in $NAMES $servers; do printf ',DNS:%s' "$name"; done)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
        -subj /CN=centre -addext "subjectAltName=${names#,}" \
        -keyout "$folder/server.key" -out "$folder/server.crt" 2>/dev/null
fi

# password ACCOUNT: print it
password() {
    file=$folder/sites/$1.password
    [ -s "$file" ] || openssl rand -hex 24 >"$file"
    cat "$file"
}

# Mosquitto: hashed where it starts, by its own program
for account in $SITES watcher; do
    printf '%s:%s\n' "$account" "$(password "$account")"
done >"$folder/passwords.new"
mv "$folder/passwords.new" "$folder/passwords"

# NATS: the example's own configuration, with these sites in the place of its two
berlin=$(sed -n '/^      {$/,/^      }$/p' "$here/nats.conf" | sed '/^      }$/q')
{
    sed '/^    users: \[$/q' "$here/nats.conf"
    for site in $SITES; do
        printf '%s\n' "$berlin" | sed "s/of berlin/$(password "$site")/; s/berlin/$site/g"
    done
    printf '      {user: store, password: "%s"}\n    ]\n  }\n}\n' "$(password store)"
} >"$folder/nats.new"
mv "$folder/nats.new" "$folder/nats.conf"
