// Names of types, lengths, and iteration.
#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/object.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

using Type = Sequence::Type;

std::string_view sequence_name(Type type) {
  switch (type) {
    case Type::list: return "list";
    case Type::tuple: return "tuple";
    case Type::range: return "range";
    case Type::generator: return "generator";
    case Type::keys: return "dict_keys";
    case Type::values: return "dict_values";
    case Type::items: return "dict_items";
    case Type::group: return "_GroupTuple";
  }
  return "object";
}

Sequence& made(Heap& heap, std::span<Value> values) { return *heap.make(Sequence{Type::list, values}); }

const Sequence& characters(Heap& heap, std::string_view text, bool safe) {
  const auto values = heap.array<Value>(count_characters(heap, text));
  for (auto& value : values) {
    const size_t length = code_point_at(text, 0).length;
    value = text_value(heap, text.substr(0, length), safe);
    text.remove_prefix(length);
  }
  return made(heap, values);
}

const Sequence& keys_of(Heap& heap, const Dict& dict) {
  const auto values = heap.array<Value>(dict.size);
  std::transform(dict.pairs.begin(), dict.pairs.begin() + static_cast<ptrdiff_t>(dict.size), values.begin(),
                 [](const Pair& pair) { return pair.key; });
  return made(heap, values);
}

const Sequence& rest_of(Heap& heap, Sequence& sequence) {
  const auto values = sequence.values.subspan(sequence.next);
  sequence.next = sequence.values.size();
  return made(heap, values);
}

}  // namespace

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::real: return "float";
    case Kind::text: return value.text().safe ? "Markup" : "str";
    case Kind::sequence: return sequence_name(value.sequence().type);
    case Kind::dict: return "dict";
    case Kind::names: return "Namespace";
    case Kind::loop: return "LoopContext";
    case Kind::function: return value.function().macro ? "Macro" : "function";
  }
  return "object";
}

std::string why_undefined(Heap& heap, const Value& value) {
  const auto& why = *value.undefined();
  if (!why.hint.empty()) return std::string(why.hint);
  if (!why.owner) return fmt::format("'{}' is undefined", why.name);
  const auto owner = why.owner->is(Kind::none) ? "None" : fmt::format("{} object", type_name(*why.owner));
  if (!why.element->is(Kind::text)) return fmt::format("{} has no element {}", owner, repr(heap, *why.element));
  return fmt::format("'{}' has no attribute {}", owner, repr(heap, *why.element));
}

void fail_undefined(Heap& heap, const Value& value) { fail_template(why_undefined(heap, value)); }

int64_t length(Heap& heap, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return 0;
    case Kind::text: return static_cast<int64_t>(count_characters(heap, value.bytes()));
    case Kind::dict: return static_cast<int64_t>(value.dict().size);
    case Kind::loop: return static_cast<int64_t>(value.loop().items->size());
    case Kind::sequence:
      if (value.sequence().type != Type::generator) return static_cast<int64_t>(value.sequence().size());
      [[fallthrough]];
    default: fail_template(fmt::format("object of type '{}' has no len()", type_name(value)));
  }
}

bool iterable(const Value& value) {
  const auto kind = value.kind();
  return kind == Kind::undefined || kind == Kind::text || kind == Kind::sequence || kind == Kind::dict ||
         kind == Kind::loop;
}

const Sequence& items(Heap& heap, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return made(heap, {});
    case Kind::text: return characters(heap, value.bytes(), value.text().safe);
    case Kind::dict: return keys_of(heap, value.dict());
    case Kind::sequence:
      return value.sequence().type == Type::generator ? rest_of(heap, value.sequence()) : value.sequence();
    case Kind::loop: fail_template("a loop cannot be iterated over here");
    default: fail_template(fmt::format("'{}' object is not iterable", type_name(value)));
  }
}

}  // namespace antiphon::text::jinja
