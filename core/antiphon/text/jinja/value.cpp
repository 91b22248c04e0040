#include <antiphon/text/jinja/value.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/text/jinja/object.h>

namespace antiphon::text::jinja {

struct Buffer {
  char* data;
  size_t used, capacity;
};

namespace {

using Json = nlohmann::ordered_json;

Value from_object(Heap& heap, const Json& json) {
  auto* dict = heap.make(Dict{heap.array<Pair>(json.size())});
  for (const auto& [key, value] : json.items())
    dict->pairs[dict->size++] = {text_value(heap, key), from_json(heap, value)};
  return Value(static_cast<const Dict*>(dict));
}

Value from_array(Heap& heap, const Json& json) {
  const auto values = heap.array<Value>(json.size());
  for (size_t i = 0; i < json.size(); ++i) values[i] = from_json(heap, json[i]);
  return sequence_value(heap, values);
}

}  // namespace

namespace {

bool hashable_within(const Value& key, int levels) {
  if (levels == 0) fail_limit("nests too deep (tuples within a key)");
  if (key.is(Kind::dict)) return false;
  if (!key.is(Kind::sequence)) return true;
  const auto& sequence = key.sequence();
  if (sequence.type != Sequence::Type::tuple && sequence.type != Sequence::Type::group)
    return sequence.type == Sequence::Type::range || sequence.type == Sequence::Type::generator;
  return std::all_of(sequence.values.begin(), sequence.values.end(),
                     [&](const Value& part) { return hashable_within(part, levels - 1); });
}

}  // namespace

bool hashable(const Value& key) { return hashable_within(key, 50); }

Value text_value(Heap& heap, std::string_view lasting, bool safe) {
  return Value(static_cast<const Text*>(heap.make(Text{lasting, nullptr, safe})));
}

Value new_text(Heap& heap, std::string_view bytes, bool safe) { return text_value(heap, heap.copy(bytes), safe); }

Value joined_text(Heap& heap, const Value& left, std::string_view right) {
  const auto bytes = left.bytes();
  auto* buffer = left.text().buffer;
  if (!buffer || bytes.data() + bytes.size() != buffer->data + buffer->used ||
      right.size() > buffer->capacity - buffer->used) {
    const size_t capacity = 2 * (bytes.size() + right.size());
    buffer = heap.make(Buffer{heap.take(capacity), bytes.size(), capacity});
    if (!bytes.empty()) std::memcpy(buffer->data, bytes.data(), bytes.size());
  }
  heap.work(right.size());
  if (!right.empty()) std::memcpy(buffer->data + buffer->used, right.data(), right.size());
  buffer->used += right.size();
  const std::string_view whole(buffer->data + buffer->used - right.size() - bytes.size(), bytes.size() + right.size());
  return Value(static_cast<const Text*>(heap.make(Text{whole, buffer, left.text().safe})));
}

Value sequence_value(Heap& heap, std::span<Value> values, Sequence::Type type) {
  return Value(heap.make(Sequence{type, values}));
}

Value undefined_name(Heap& heap, std::string_view name) {
  return Value(static_cast<const Undefined*>(heap.make(Undefined{name})));
}
Value undefined_hint(Heap& heap, std::string_view hint) {
  return Value(static_cast<const Undefined*>(heap.make(Undefined{{}, hint})));
}
Value undefined_of(Heap& heap, const Value& owner, const Value& element) {
  return Value(static_cast<const Undefined*>(heap.make(Undefined{{}, {}, heap.make(owner), heap.make(element)})));
}

Value from_json(Heap& heap, const Json& json) {
  const Heap::Level level(heap);
  heap.step();
  switch (json.type()) {
    case Json::value_t::boolean: return Value(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return Value(json.get<int64_t>());
    case Json::value_t::number_float: return Value(json.get<double>());
    case Json::value_t::string: return text_value(heap, json.get_ref<const std::string&>());
    case Json::value_t::array: return from_array(heap, json);
    case Json::value_t::object: return from_object(heap, json);
    default: return {};
  }
}

void DictBuilder::set(const Value& key, const Value& value) {
  if (!hashable(key)) fail_template(fmt::format("unhashable type: '{}'", type_name(key)));
  if (const auto* found = find(heap_, *dict_, key)) {
    *const_cast<Value*>(found) = value;  // its own pair, not shared yet
    return;
  }
  if (dict_->size == dict_->pairs.size()) {
    const auto more = heap_.array<Pair>(2 * dict_->size + 4);
    std::copy(dict_->pairs.begin(), dict_->pairs.end(), more.begin());
    dict_->pairs = more;
  }
  dict_->pairs[dict_->size++] = {key, value};
}

const Value* find(Heap& heap, const Dict& dict, const Value& key) {
  if (key.is(Kind::text)) return find(heap, dict, key.bytes());
  if (!hashable(key)) fail_template(fmt::format("unhashable type: '{}'", type_name(key)));
  for (const auto& pair : dict.pairs.first(dict.size))
    if (equal(heap, pair.key, key)) return &pair.value;
  return nullptr;
}

const Value* find(Heap& heap, const Dict& dict, std::string_view key) {
  heap.step(1 + dict.size / 4);
  for (const auto& pair : dict.pairs.first(dict.size))
    if (pair.key.is(Kind::text) && pair.key.bytes() == key) return &pair.value;
  return nullptr;
}

Value* find(Namespace& names, std::string_view name) {
  for (auto& entry : names.entries.first(names.size))
    if (entry.name == name) return &entry.value;
  return nullptr;
}

void set(Heap& heap, Namespace& names, std::string_view name, const Value& value) {
  // transformers' rule.
  if (name.starts_with('_'))
    fail_template(
        fmt::format("Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'", name));
  heap.step(1 + names.size / 4);
  if (auto* found = find(names, name)) {
    *found = value;
    return;
  }
  if (names.size == names.entries.size()) {
    const auto more = heap.array<Names>(2 * names.size + 4);
    std::copy(names.entries.begin(), names.entries.end(), more.begin());
    names.entries = more;
  }
  names.entries[names.size++] = {name, value};
}

}  // namespace antiphon::text::jinja
