// The templates behind config/schema.h.
#pragma once
#include <antiphon/config/schema.h>

#include <type_traits>

namespace antiphon::config {
namespace detail {

// How a member that is not a table is called, read and written: one of these for each type of member, all in
// schema_leaves.cpp, so that a plugin's tables compile to little.
struct LeafType {
  std::string name;
  // Sets `out`, or reports and leaves it alone.
  void (*read)(const Value& value, void* out, const std::string& key, const std::string& section, const Rule& rule,
               Problems& problems);
  Value (*write)(const void* member);
};

template <class M>
struct Leaf : std::false_type {};
template <>
struct Leaf<bool> : std::true_type {};
template <>
struct Leaf<int64_t> : std::true_type {};
template <>
struct Leaf<double> : std::true_type {};
template <>
struct Leaf<std::string> : std::true_type {};
template <>
struct Leaf<Value> : std::true_type {};
template <class M>
struct Leaf<std::optional<M>> : Leaf<M> {};
template <class M>
struct Leaf<std::vector<M>> : Leaf<M> {};

// Of the types above, an optional or a list of one, and an optional list.
template <class M>
const LeafType& leaf_type();

// The elements of a list, or of a table; nullptr (and a report) if it is neither.
const Value::Array* read_list(const Value& value, const std::string& key, const std::string& section,
                              Problems& problems);
const Value::Table* read_map(const Value& value, const std::string& key, const std::string& section,
                             Problems& problems);
std::string section_of(const std::string& section, const std::string& key);
std::string section_of(const std::string& section, const std::string& key, size_t index);

}  // namespace detail

template <class T>
template <class M>
Table<T>& Table<T>::field(std::string_view key, M T::*member, std::string_view doc, const Rule& rule) {
  static_assert(detail::Leaf<M>::value,
                "a member of an options struct is bool, int64_t, double, std::string, config::Value, "
                "or std::optional or std::vector of these; use table(), tables(), map() for structs");
  add_leaf(
      key, detail::leaf_type<M>(), [member](void* object) -> void* { return &(static_cast<T*>(object)->*member); }, doc,
      rule);
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
