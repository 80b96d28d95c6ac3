#!/bin/bash
# A bare save and restore of the domain $1, to a file and back: the least that a freeze by save and restore can cost.
set -euo pipefail
image=/var/tmp/$1.image
begin=$(date +%s%3N)
xl save "$1" "$image" > /dev/null
xl restore "$image" > /dev/null
echo "bare $(($(date +%s%3N) - begin))"
rm -f "$image"
