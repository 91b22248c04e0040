#!/usr/bin/env bash
# Fetches the demo's weights and recordings and makes models/ and data/demo/ of them. A second call does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
./setup demo-python
exec .venv/bin/python tools/demo/prepare.py "$@"
