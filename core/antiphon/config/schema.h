// Typed option tables: one table for each options struct drives parsing, unknown-key errors, ranges, `inspect`,
// the schema snapshot and the resolved dump. Defaults are the struct's member initialisers, nowhere else.
//
//   struct LoraOptions { int64_t rank = 8; double alpha = 16; std::vector<std::string> targets; };
//   const config::Table<LoraOptions>& table() {
//     static const auto t = config::Table<LoraOptions>("lora")
//       .field("rank", &LoraOptions::rank, "rank of the update", {.min = 1, .max = 4096})
//       .field("targets", &LoraOptions::targets, "site names or globs", {.required = true});
//     return t;
//   }
#pragma once
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/config/value.h>

namespace antiphon {
enum class ErrorKind;
}

namespace antiphon::config {

// Collects every error of a file, so that a user sees them all at once.
class Problems {
 public:
  void add(const Location& where, std::string text, std::string fix = {});
  void add(const Location& where, std::string text, std::string fix, ErrorKind kind);
  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  // Throws one Error that lists all problems (the first hundred), each as "file:line:col: text", sorted by place,
  // without duplicates; does nothing if there is none. Its kind is theirs if all are of one kind, else config.
  void throw_if_any() const;

 private:
  struct Problem {
    Location where;
    std::string text, fix;
    ErrorKind kind;
    std::string message() const;
  };
  std::vector<Problem> list_;
};

// Rules for a value; for a list, for each of its elements. Numbers are finite.
struct Rule {
  bool required = false;  // must be written: has no default
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;                 // min itself is not allowed
  std::vector<std::string> choices = {};  // for strings
};

class Schema;
namespace detail {
struct LeafType;
}

// One key of a table. `set` reports to Problems and leaves the member alone on a bad value.
struct Field {
  // type: "boolean", "integer", "number" (integers too), "string", "any", "list of …" of these,
  // "table", "optional table", "list of table", "map of table"
  std::string key, type, doc;
  Rule rule;
  const Schema* nested = nullptr;  // for table, list of tables, map of tables
  std::function<void(void* object, const Value& value, const std::string& section, Problems&)> set = {};
  std::function<Value(const void* object)> get = {};  // empty Value if an optional member is unset
};

// The type-erased half: what generic code (inspect, snapshot, conformance) needs.
class Schema {
 public:
  explicit Schema(std::string name) : name_(std::move(name)) {}
  virtual ~Schema();
  const std::string& name() const { return name_; }
  const std::vector<Field>& fields() const { return fields_; }
  // The defaults as a Value table; required keys are absent.
  virtual Value defaults() const = 0;
  // Reads `table` into `object`: unknown keys ("did you mean"), types, ranges, missing required keys. Members whose key
  // is absent or invalid keep their value. An absent nested table is read as an empty one. `section` is the dotted path
  // of the table for messages ("" at the top level, "model.llm.peft.0" in a list).
  void read(void* object, const Value& table, const std::string& section, Problems& problems) const;
  // A table that read() turns back into an equal object; unset optional members are left out.
  Value dump(const void* object) const;
  // [{key, type, doc, default?, required?, min? or above?, max?, choices?, fields?}], for `inspect --json` and the
  // snapshots.
  Value describe() const;

 protected:
  using Access = std::function<void*(void* object)>;  // the member's address
  void add(Field field);
  void add_leaf(std::string_view key, const detail::LeafType& type, Access member, std::string_view doc,
                const Rule& rule);
  Value without_required(Value defaults) const;
  std::string name_;
  std::vector<Field> fields_;
  // If set, unknown keys are collected there (a component slot's own options) instead of being errors.
  std::function<Value*(void* object)> rest_;

 private:
  std::string described(const std::string& section) const;
  void report_unknown(const std::string& key, const Location& where, const std::string& section,
                      Problems& problems) const;
};

template <class T>
class Table : public Schema {
 public:
  explicit Table(std::string name) : Schema(std::move(name)) {}

  // M: bool, int64_t, double, std::string, std::optional of these, std::vector of these, Value (kept as it is).
  template <class M>
  Table& field(std::string_view key, M T::*member, std::string_view doc, const Rule& rule = {});
  // A nested table (unset if absent, for std::optional); a list of tables; a map of tables by name.
  // `schema` must outlive this table.
  template <class M>
  Table& table(std::string key, M T::*member, const Table<M>& schema, std::string doc, Rule rule = {});
  template <class M>
  Table& table(std::string key, std::optional<M> T::*member, const Table<M>& schema, std::string doc, Rule rule = {});
  template <class M>
  Table& tables(std::string key, std::vector<M> T::*member, const Table<M>& schema, std::string doc, Rule rule = {});
  template <class M>
  Table& map(std::string key, std::map<std::string, M> T::*member, const Table<M>& schema, std::string doc,
             Rule rule = {});
  // Unknown keys go into `member` (a Value table) unread.
  Table& rest(Value T::*member);

  T parse(const Value& table, const std::string& section, Problems& problems) const {
    T object{};
    read(&object, table, section, problems);
    return object;
  }
  Value defaults() const override {
    const T object{};
    return without_required(dump(&object));
  }
};

}  // namespace antiphon::config

#include <antiphon/config/schema_impl.h>
