// The templates behind config/schema.h: each type of member is read and written by one small function; the checks
// and texts are in schema.cpp.
#pragma once
#include <antiphon/config/schema.h>

namespace antiphon::config {
namespace detail {

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
// The elements of a list, or of a table; nullptr (and a report) if it is neither.
const Value::Array* read_list(const Value& value, const std::string& key, const std::string& section,
                              Problems& problems);
const Value::Table* read_map(const Value& value, const std::string& key, const std::string& section,
                             Problems& problems);
std::string section_of(const std::string& section, const std::string& key);
std::string section_of(const std::string& section, const std::string& key, size_t index);

template <class M>
bool read(const Value& value, std::optional<M>& out, const Place& place, Problems& problems) {
  M read_out{};
  if (!read(value, read_out, place, problems)) return false;
  out = std::move(read_out);
  return true;
}

template <class M>
bool read(const Value& value, std::vector<M>& out, const Place& place, Problems& problems) {
  const auto* list = read_list(value, place.key, place.section, problems);
  if (!list) return false;
  std::vector<M> items;
  bool good = true;
  for (const auto& item : *list) {
    M read_out{};
    good &= read(item, read_out, {place.key + "[" + std::to_string(items.size()) + "]", place.section, place.rule},
                 problems);
    items.push_back(std::move(read_out));
  }
  if (good) out = std::move(items);
  return good;
}

inline Value write(const Value& value) { return value; }
template <class M>
requires std::same_as<M, bool> || std::same_as<M, int64_t> || std::same_as<M, double> || std::same_as<M, std::string>
    Value write(const M& value) {
  return Value(value);
}
template <class M>
Value write(const std::optional<M>& value) {
  return value ? write(*value) : Value();
}
template <class M>
Value write(const std::vector<M>& list) {
  Value::Array out;
  for (const M& item : list) out.push_back(write(item));
  return Value(std::move(out));
}

template <class M>
struct TypeName {
  static_assert(sizeof(M) == 0,
                "a member of an options struct is bool, int64_t, double, std::string, config::Value, "
                "or std::optional or std::vector of these; use table(), tables(), map() for structs");
};
template <>
struct TypeName<bool> {
  static std::string get() { return "boolean"; }
};
template <>
struct TypeName<int64_t> {
  static std::string get() { return "integer"; }
};
template <>
struct TypeName<double> {
  static std::string get() { return "number"; }
};
template <>
struct TypeName<std::string> {
  static std::string get() { return "string"; }
};
template <>
struct TypeName<Value> {
  static std::string get() { return "any"; }
};
template <class M>
struct TypeName<std::optional<M>> : TypeName<M> {};
template <class M>
struct TypeName<std::vector<M>> {
  static std::string get() { return "list of " + TypeName<M>::get(); }
};

}  // namespace detail

template <class T>
template <class M>
Table<T>& Table<T>::field(std::string key, M T::*member, std::string doc, Rule rule) {
  Field field{key, detail::TypeName<M>::get(), std::move(doc), rule};
  field.set = [=](void* object, const Value& value, const std::string& section, Problems& problems) {
    detail::read(value, static_cast<T*>(object)->*member, {key, section, &rule}, problems);
  };
  field.get = [=](const void* object) { return detail::write(static_cast<const T*>(object)->*member); };
  add(std::move(field));
  return *this;
}

template <class T>
template <class M>
Table<T>& Table<T>::table(std::string key, M T::*member, const Table<M>& schema, std::string doc, Rule rule) {
  Field field{key, "table", std::move(doc), std::move(rule), &schema};
  field.set = [=, &schema](void* object, const Value& value, const std::string& section, Problems& problems) {
    schema.read(&(static_cast<T*>(object)->*member), value, detail::section_of(section, key), problems);
  };
  field.get = [=, &schema](const void* object) { return schema.dump(&(static_cast<const T*>(object)->*member)); };
  add(std::move(field));
  return *this;
}

template <class T>
template <class M>
Table<T>& Table<T>::table(std::string key, std::optional<M> T::*member, const Table<M>& schema, std::string doc,
                          Rule rule) {
  Field field{key, "optional table", std::move(doc), std::move(rule), &schema};
  field.set = [=, &schema](void* object, const Value& value, const std::string& section, Problems& problems) {
    static_cast<T*>(object)->*member = schema.parse(value, detail::section_of(section, key), problems);
  };
  field.get = [=, &schema](const void* object) {
    const auto& inner = static_cast<const T*>(object)->*member;
    return inner ? schema.dump(&*inner) : Value();
  };
  add(std::move(field));
  return *this;
}

template <class T>
template <class M>
Table<T>& Table<T>::tables(std::string key, std::vector<M> T::*member, const Table<M>& schema, std::string doc,
                           Rule rule) {
  Field field{key, "list of table", std::move(doc), std::move(rule), &schema};
  field.set = [=, &schema](void* object, const Value& value, const std::string& section, Problems& problems) {
    const auto* list = detail::read_list(value, key, section, problems);
    if (!list) return;
    auto& out = static_cast<T*>(object)->*member;
    out.clear();
    for (const auto& item : *list)
      out.push_back(schema.parse(item, detail::section_of(section, key, out.size()), problems));
  };
  field.get = [=, &schema](const void* object) {
    Value::Array out;
    for (const M& item : static_cast<const T*>(object)->*member) out.push_back(schema.dump(&item));
    return Value(std::move(out));
  };
  add(std::move(field));
  return *this;
}

template <class T>
template <class M>
Table<T>& Table<T>::map(std::string key, std::map<std::string, M> T::*member, const Table<M>& schema, std::string doc,
                        Rule rule) {
  Field field{key, "map of table", std::move(doc), std::move(rule), &schema};
  field.set = [=, &schema](void* object, const Value& value, const std::string& section, Problems& problems) {
    const auto* entries = detail::read_map(value, key, section, problems);
    if (!entries) return;
    auto& out = static_cast<T*>(object)->*member;
    out.clear();
    const std::string inner = detail::section_of(section, key);
    for (const auto& [name, item] : *entries) out[name] = schema.parse(item, detail::section_of(inner, name), problems);
  };
  field.get = [=, &schema](const void* object) {
    Value::Table out;
    for (const auto& [name, item] : static_cast<const T*>(object)->*member) out[name] = schema.dump(&item);
    return Value(std::move(out));
  };
  add(std::move(field));
  return *this;
}

template <class T>
Table<T>& Table<T>::rest(Value T::*member) {
  rest_ = [member](void* object) { return &(static_cast<T*>(object)->*member); };
  return *this;
}

}  // namespace antiphon::config
