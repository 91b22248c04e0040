// A configuration value with the place it came from. Parsed from TOML; everything else works on this tree.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace antiphon::config {

// Where a value was written: "recipes/a.toml:14:3", "--set train.steps", or "" for a default.
struct Location {
  std::shared_ptr<const std::string> source;
  uint32_t line = 0, column = 0;
  std::string str() const;
};

class Value {
 public:
  using Array = std::vector<Value>;
  using Table = std::map<std::string, Value>;
  using Data = std::variant<std::monostate, bool, int64_t, double, std::string, Array, Table>;

  Value() = default;
  template <class T>
  Value(T data, Location where = {}) : data(std::move(data)), where(std::move(where)) {}

  bool empty() const { return std::holds_alternative<std::monostate>(data); }
  template <class T> const T* get_if() const { return std::get_if<T>(&data); }
  template <class T> T* get_if() { return std::get_if<T>(&data); }
  // "integer", "string", "table", …
  std::string_view type_name() const;
  // The member `key` of a table, or nullptr.
  const Value* find(std::string_view key) const;

  Data data;
  Location where;
};

// Reads a TOML file and what it `extends` (a string or a list; paths relative to the file; later ones win, the
// file itself wins over all). Tables merge key by key, everything else replaces; the key `extends` is gone in the
// result. A cycle, a missing file or bad syntax is an Error(config) with file:line:col.
Value load_toml(const std::filesystem::path& path);
Value parse_toml(std::string_view text, const std::string& source);

// Applies "a.b=c": `c` is read as a TOML value, or as a plain string where it is none. Array elements: a.0.b=c.
void apply_set(Value& root, const std::string& assignment);

// `over` onto `base`: tables merge key by key, everything else replaces.
void merge(Value& base, const Value& over);

// TOML text that load_toml reads back to an equal tree; deterministic.
std::string to_toml(const Value& root);
// JSON text, for `--json`.
std::string to_json(const Value& root, int indent = 2);

// Equal data, wherever it was written.
bool same(const Value& a, const Value& b);

}  // namespace antiphon::config
