// Every type that a member of an options struct may have, but tables.
#include <antiphon/config/schema_read.h>

namespace antiphon::config::detail {
namespace {

template <class M>
bool read(const Value& value, std::optional<M>& out, const Place& place, Problems& problems) {
  M read_out{};
  if (!detail::read(value, read_out, place, problems)) return false;
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
    const Place of_item{place.key + "[" + std::to_string(items.size()) + "]", place.section, place.rule};
    good &= detail::read(item, read_out, of_item, problems);
    items.push_back(std::move(read_out));
  }
  if (good) out = std::move(items);
  return good;
}

template <class M>
bool read(const Value& value, std::optional<std::vector<M>>& out, const Place& place, Problems& problems) {
  std::vector<M> read_out;
  if (!read(value, read_out, place, problems)) return false;
  out = std::move(read_out);
  return true;
}

using detail::read;

template <class M>
Value write(const M& value) {
  return Value(value);
}
template <class M>
Value write(const std::vector<M>& list) {
  Value::Array out;
  for (const M& item : list) out.push_back(write(item));
  return Value(std::move(out));
}
template <class M>
Value write(const std::optional<M>& value) {
  return value ? write(*value) : Value();
}

template <class M>
struct Name;
template <>
struct Name<bool> {
  static std::string get() { return "boolean"; }
};
template <>
struct Name<int64_t> {
  static std::string get() { return "integer"; }
};
template <>
struct Name<double> {
  static std::string get() { return "number"; }
};
template <>
struct Name<std::string> {
  static std::string get() { return "string"; }
};
template <>
struct Name<Value> {
  static std::string get() { return "any"; }
};
template <class M>
struct Name<std::optional<M>> : Name<M> {};
template <class M>
struct Name<std::vector<M>> {
  static std::string get() { return "list of " + Name<M>::get(); }
};

}  // namespace

template <class M>
const LeafType& leaf_type() {
  static const auto* type = new LeafType{Name<M>::get(),
                                         [](const Value& value, void* out, const std::string& key,
                                            const std::string& section, const Rule& rule, Problems& problems) {
                                           read(value, *static_cast<M*>(out), {key, section, &rule}, problems);
                                         },
                                         [](const void* member) { return write(*static_cast<const M*>(member)); }};
  return *type;
}

#define ANTIPHON_LEAF(M)                                  \
  template const LeafType& leaf_type<M>();                \
  template const LeafType& leaf_type<std::vector<M>>();   \
  template const LeafType& leaf_type<std::optional<M>>(); \
  template const LeafType& leaf_type<std::optional<std::vector<M>>>();
ANTIPHON_LEAF(bool)
ANTIPHON_LEAF(int64_t)
ANTIPHON_LEAF(double)
ANTIPHON_LEAF(std::string)
ANTIPHON_LEAF(Value)
#undef ANTIPHON_LEAF

}  // namespace antiphon::config::detail
