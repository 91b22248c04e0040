// A configuration value and where it came from. Parsed from TOML; everything else works on this tree.
#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace antiphon::config {

// Where a value was written: "recipes/a.toml:14:3", "--set train.steps", or "" for a default.
// For a member of a table it is the place of its key. Lines and columns (in code points) count from 1.
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
  // Integers become int64_t, floating point numbers double, anything convertible to string_view a string.
  template <class T>
  requires std::is_arithmetic_v<T> || std::convertible_to<T, std::string_view> || std::same_as<T, Array> ||
      std::same_as<T, Table>
      Value(T value, Location where = {}) : data(stored(std::move(value))), where(std::move(where)) {}

  bool empty() const { return std::holds_alternative<std::monostate>(data); }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data);
  }
  template <class T>
  T* get_if() {
    return std::get_if<T>(&data);
  }
  // "integer", "string", "table", …
  std::string_view type_name() const;
  // The member `key` of a table, or nullptr.
  const Value* find(std::string_view key) const;

  Data data;
  Location where;

 private:
  template <class T>
  static Data stored(T value) {
    if constexpr (std::same_as<T, bool> || std::same_as<T, Array> || std::same_as<T, Table>) {
      return Data(std::in_place_type<T>, std::move(value));
    } else if constexpr (std::integral<T>) {
      return Data(std::in_place_type<int64_t>, static_cast<int64_t>(value));
    } else if constexpr (std::floating_point<T>) {
      return Data(std::in_place_type<double>, static_cast<double>(value));
    } else {
      return Data(std::in_place_type<std::string>, std::string_view(value));
    }
  }
};

// The deepest nesting of tables and arrays accepted; deeper is an Error(config).
inline constexpr int max_depth = 64;

// Reads a TOML file and what it `extends` (a string or a list; paths relative to the file; later ones win, the
// file itself wins over all). Tables merge key by key, everything else replaces; the key `extends` is gone in the
// result. A cycle, a missing file, bad syntax or a date is an Error(config) with file:line:col.
Value load_toml(const std::filesystem::path& path);
// The same for a text; messages name it `source`. `extends` is an ordinary key here.
Value parse_toml(std::string_view text, const std::string& source);

// Applies "a.b=c": `c` is read as a TOML value, or else as a plain string (a text that starts like a quoted string,
// list or table must be one). Missing tables are created; array elements: a.0.b=c; keys may be quoted. The value
// replaces what was there. Error(config) for bad syntax, an index past the end, or a path through something that is
// neither table nor list.
void apply_set(Value& root, const std::string& assignment);

// `over` onto `base`: tables merge key by key, everything else replaces.
void merge(Value& base, const Value& over);

// TOML text that parse_toml reads back to an equal tree; deterministic (keys sorted). Empty values are left out.
// `root` must be a table. Error(config) for strings that are not UTF-8.
std::string to_toml(const Value& root);
// JSON text, for `--json`. JSON has no inf and nan: they become the strings "inf", "-inf", "nan".
std::string to_json(const Value& root, int indent = 2);

// Equal data, whatever its origin; nan equals nan, an integer never equals a float.
bool same(const Value& a, const Value& b);

}  // namespace antiphon::config
