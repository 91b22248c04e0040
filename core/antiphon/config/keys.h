// The keys of tables that two schemas share: a slot's own and those of its component.
#pragma once
#include <antiphon/config/schema.h>

namespace antiphon::config {

std::vector<std::string> keys_of(const Schema& schema);
// Reports the keys of `table` that are neither in the schema nor in `beside`, with "did you mean" over both, and
// returns the table without them. `section` as in Schema::read.
Value without_unknown(const Schema& schema, const std::vector<std::string>& beside, const Value& table,
                      const std::string& section, Problems& problems);
// In a table that lacks a required key: its unknown keys, each with the missing key that was probably meant. In a slot
// without a plugin there is no component that knows its keys.
std::map<std::string, std::string> misspelt(const Schema& schema, const Value::Table& table);
void report_unknown(const Schema& schema, const std::vector<std::string>& beside, const std::string& key,
                    const Location& where, const std::string& section, Problems& problems);
// " in [model.llm] (llama)", or " at the top level".
std::string described(const Schema& schema, const std::string& section);
// Entries of a map of tables that lack required keys may belong to the entry with a similar name.
void suggest_entries(const Field& field, const Value& map, const std::string& section, Problems& problems);

}  // namespace antiphon::config
