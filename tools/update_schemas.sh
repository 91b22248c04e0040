#!/bin/sh
# Writes plugins/*/*/schema.json and docs/config.schema.json again from the program that is built.
set -eu
cd "$(dirname "$0")/.."
program=${ANTIPHON:-build/bin/antiphon}
for folder in plugins/*/*/; do
  "$program" inspect "$(basename "$folder")" --json > "$folder/schema.json.new"
  mv "$folder/schema.json.new" "$folder/schema.json"
done
"$program" inspect config --json > docs/config.schema.json.new
mv docs/config.schema.json.new docs/config.schema.json
