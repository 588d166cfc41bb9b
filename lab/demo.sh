#!/bin/sh
# What `make demo` runs once all is built.
exec /usr/bin/python3 "$(dirname "$0")/demo.py" "$@"
