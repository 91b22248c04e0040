// How values of single types are read, for schema_leaves.cpp.
#pragma once
#include <antiphon/config/schema.h>

namespace antiphon::config::detail {

// The key being read, for messages.
struct Place {
  std::string key, section;
  const Rule* rule;
};

// Each sets `out` and returns true, or reports and leaves `out` alone.
bool read(const Value& value, bool& out, const Place& place, Problems& problems);
bool read(const Value& value, int64_t& out, const Place& place, Problems& problems);
bool read(const Value& value, double& out, const Place& place, Problems& problems);
bool read(const Value& value, std::string& out, const Place& place, Problems& problems);
bool read(const Value& value, Value& out, const Place& place, Problems& problems);

}  // namespace antiphon::config::detail
