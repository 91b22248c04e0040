// Values of a template, as Python has them: 16 bytes, copied freely; what they point to lives in the Heap (or in the
// template, or in the conversation) and, namespaces and loops apart, never changes.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/text/jinja/heap.h>

namespace antiphon::text::jinja {

enum class Kind : uint8_t { undefined, none, boolean, integer, real, text, sequence, dict, names, loop, function };

struct Buffer;
struct Undefined;
struct Sequence;
struct Dict;
struct Namespace;
struct Loop;
struct Function;

struct Text {
  std::string_view bytes;    // well-formed UTF-8
  Buffer* buffer = nullptr;  // where it can grow, if the text still ends there
  bool safe = false;         // Python's Markup
};

class Value {
 public:
  Value() = default;
  explicit Value(bool flag) : kind_(Kind::boolean) { as_.flag = flag; }
  explicit Value(int64_t number) : kind_(Kind::integer) { as_.integer = number; }
  explicit Value(double number) : kind_(Kind::real) { as_.real = number; }
  explicit Value(const Undefined* why) : kind_(Kind::undefined) { as_.undefined = why; }
  explicit Value(const Text* text) : kind_(Kind::text) { as_.text = text; }
  explicit Value(Sequence* sequence) : kind_(Kind::sequence) { as_.sequence = sequence; }
  explicit Value(const Dict* dict) : kind_(Kind::dict) { as_.dict = dict; }
  explicit Value(Namespace* names) : kind_(Kind::names) { as_.names = names; }
  explicit Value(Loop* loop) : kind_(Kind::loop) { as_.loop = loop; }
  explicit Value(const Function* function) : kind_(Kind::function) { as_.function = function; }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool flag() const { return as_.flag; }
  int64_t integer() const { return is(Kind::boolean) ? as_.flag : as_.integer; }
  double real() const { return is(Kind::real) ? as_.real : static_cast<double>(integer()); }
  const Undefined* undefined() const { return as_.undefined; }
  const Text& text() const { return *as_.text; }
  std::string_view bytes() const { return as_.text->bytes; }
  Sequence& sequence() const { return *as_.sequence; }
  const Dict& dict() const { return *as_.dict; }
  Namespace& names() const { return *as_.names; }
  Loop& loop() const { return *as_.loop; }
  const Function& function() const { return *as_.function; }
  const void* address() const { return as_.undefined; }

  bool whole() const { return is(Kind::integer) || is(Kind::boolean); }
  bool number() const { return whole() || is(Kind::real); }

 private:
  Kind kind_ = Kind::none;
  union {
    bool flag;
    int64_t integer;
    double real;
    const Undefined* undefined;
    const Text* text;
    Sequence* sequence;
    const Dict* dict;
    Namespace* names;
    Loop* loop;
    const Function* function;
  } as_{.integer = 0};
};

// Why something is undefined; the message is built when needed.
struct Undefined {
  std::string_view name, hint = {};
  const Value* owner = nullptr;
  const Value* element = nullptr;
};

struct Sequence {
  enum class Type : uint8_t { list, tuple, range, generator, keys, values, items, group };
  Type type;
  std::span<Value> values;
  int64_t start = 0, step = 1, count = 0, stop = 0;  // of a range
  size_t next = 0;                                   // of a generator: items taken
  size_t size() const { return type == Type::range ? static_cast<size_t>(count) : values.size(); }
  Value at(size_t i) const { return type == Type::range ? Value(start + step * static_cast<int64_t>(i)) : values[i]; }
  bool indexed() const { return type <= Type::range || type == Type::group; }
};

struct Pair {
  Value key, value;
};
struct Dict {
  std::span<Pair> pairs;
  size_t size = 0;
};

struct Names {
  std::string_view name;
  Value value;
};
struct Namespace {
  std::span<Names> entries;
  size_t size = 0;
};

// Making
Value text_value(Heap& heap, std::string_view lasting, bool safe = false);  // the bytes outlive the rendering
Value new_text(Heap& heap, std::string_view bytes, bool safe = false);      // copies
Value joined_text(Heap& heap, const Value& left, std::string_view right);   // in place if possible
Value sequence_value(Heap& heap, std::span<Value> values, Sequence::Type type = Sequence::Type::list);
Value undefined_name(Heap& heap, std::string_view name);
Value undefined_hint(Heap& heap, std::string_view hint);
Value undefined_of(Heap& heap, const Value& owner, const Value& element);
// Strings of `json` are not copied: it must outlive the rendering.
Value from_json(Heap& heap, const nlohmann::ordered_json& json);

class DictBuilder {
 public:
  DictBuilder(Heap& heap, size_t capacity) : heap_(heap), dict_(heap.make(Dict{heap.array<Pair>(capacity)})) {}
  void set(const Value& key, const Value& value);  // fails if the key is not hashable
  Value value() const { return Value(static_cast<const Dict*>(dict_)); }

 private:
  Heap& heap_;
  Dict* dict_;
};
bool hashable(const Value& key);
const Value* find(Heap& heap, const Dict& dict, const Value& key);
const Value* find(Heap& heap, const Dict& dict, std::string_view key);
Value* find(Namespace& names, std::string_view name);
void set(Heap& heap, Namespace& names, std::string_view name, const Value& value);

// Asking
bool truth(const Value& value);
bool equal(Heap& heap, const Value& left, const Value& right, int depth = 0);
bool same(const Value& left, const Value& right);  // Python's `is`
int order(Heap& heap, const Value& left, const Value& right, std::string_view sign = "<", int depth = 0);
bool contains(Heap& heap, const Value& container, const Value& value);
std::string_view type_name(const Value& value);
std::string why_undefined(Heap& heap, const Value& value);
[[noreturn]] void fail_undefined(Heap& heap, const Value& value);
// len(); fails for values that have none.
int64_t length(Heap& heap, const Value& value);
// The items that a loop over the value sees; exhausts a generator. Fails for values that cannot be iterated over.
const Sequence& items(Heap& heap, const Value& value);
bool iterable(const Value& value);

// Writing: Python's str() and repr().
std::string_view to_text(Heap& heap, const Value& value);
std::string repr(Heap& heap, const Value& value);
std::string repr_real(double number);
struct JsonStyle {
  bool ensure_ascii = false, sort_keys = false, indented = false;
  std::string indent = {}, item_separator = ", ", key_separator = ": ";
};
std::string to_json(Heap& heap, const Value& value, const JsonStyle& style);

}  // namespace antiphon::text::jinja
