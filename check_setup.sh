#!/bin/sh
# Runs `setup_utils.py check` with the project's Python, or the first one there is. All logic is in setup_utils.py.
cd "$(dirname "$0")" || exit 1
for python in .venv/bin/python .venv/Scripts/python.exe python3 python; do
    if command -v "$python" >/dev/null 2>&1; then
        exec "$python" setup_utils.py check "$@"
    fi
done
echo "check_setup.sh: Python 3.11 or newer is missing. Type: sudo apt-get install -y python3 python3-venv   (macOS: brew install python)" >&2
exit 2
