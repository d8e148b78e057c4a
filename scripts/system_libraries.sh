#!/bin/sh
# The Debian packages that Qt needs to draw a window, also an invisible one (fonts: without any, every glyph is an empty
# box). Installs what is missing when root; otherwise says what to install.
set -eu

packages="libgl1 libegl1 libxkbcommon0 libglib2.0-0 libfontconfig1 libdbus-1-3 fonts-dejavu-core"

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "Not a Debian system: make sure Qt's libraries are there ($packages)." >&2
    exit 0
fi

missing=""
for package in $packages; do
    # Debian 13 renamed libglib2.0-0 to libglib2.0-0t64; either will do.
    if ! dpkg-query -W -f='${Status}\n' "$package" "${package}t64" 2>/dev/null | grep -q 'install ok installed'; then
        missing="$missing $package"
    fi
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Debian packages missing; please run:  sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing Debian packages:$missing"
apt-get update -qq
# shellcheck disable=SC2086  # a list of words is meant
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
