#!/bin/sh
# The broker gives root up by itself.
set -e
[ "$(id -u)" != 0 ] || [ ! -d /mosquitto ] || chown -R mosquitto:mosquitto /mosquitto/data
exec "$@"
