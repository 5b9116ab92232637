#!/bin/sh
# Makes the broker's accounts, once: a password for every user of the access file.
#
# Runs in the broker's own image before everything else. Passwords are made on the first start and
# kept after it; each service can read its own only, because its folder belongs to its user id.
set -eu

source=/source             # the access file and configuration of this repository
broker=/broker             # what Mosquitto reads
secrets=/secrets           # what the services read
state=/state               # what the services keep

# The user ids of compose.yaml; services that need raw sockets run as root without its powers.
# People's passwords belong to nobody's id, so that no service can read them.
uid_of() {
    case $1 in
        detector) echo 10001 ;;
        cloud-bridge) echo 10002 ;;
        dashboard) echo 10003 ;;
        history) echo 10005 ;;
        notifier) echo 10004 ;;
        home-assistant) echo 10006 ;;
        capture | prober) echo 0 ;;
        *) echo 10000 ;;
    esac
}

umask 077
: >"$broker/passwords.new"
sed -n 's/^user //p' "$source/acl" | while read -r user; do
    folder=$secrets/$user
    mkdir -p "$folder"
    if [ ! -s "$folder/broker__password" ]; then
        head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$folder/broker__password"
    fi
    printf '%s:%s\n' "$user" "$(cat "$folder/broker__password")" >>"$broker/passwords.new"
    chown -R "$(uid_of "$user")" "$folder"
    [ ! -d "$state/$user" ] || chown "$(uid_of "$user")" "$state/$user"
done
chmod 755 "$secrets"

mosquitto_passwd -U "$broker/passwords.new"
mv "$broker/passwords.new" "$broker/passwords"
cp "$source/acl" "$source/mosquitto.conf" "$broker/"
chmod 600 "$broker"/*
chown -R mosquitto:mosquitto "$broker"
echo "accounts are ready"
