// object.name, object[index] and object[from:to:step], as Jinja's sandbox gives them.
#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/run.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

constexpr int64_t unset = INT64_MIN;

Native method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::text: return text_method(name);
    case Kind::sequence: return sequence_method(object.sequence(), name);
    case Kind::dict: return dict_method(name);
    default: return nullptr;
  }
}

// What Python's getattr finds; nothing if it finds none.
std::optional<Value> own_attribute(Run& run, const Value& object, std::string_view name) {
  auto& heap = run.heap();
  if (object.is(Kind::loop)) {
    const auto value = loop_attribute(run, object.loop(), name);
    if (!value.is(Kind::undefined)) return value;
  }
  if (object.is(Kind::names))
    if (const auto* value = find(object.names(), name)) return *value;
  if (object.is(Kind::function) && object.function().macro && name == "name")
    return text_value(heap, object.function().name);
  if (object.is(Kind::sequence) && object.sequence().type == Sequence::Type::group)
    if (name == "grouper" || name == "list") return object.sequence().at(name == "list");
  if (const auto native = method(object, name))
    return Value(static_cast<const Function*>(heap.make(Function{heap.copy(name), native, object})));
  if (changes_its_object(object, name))
    return undefined_hint(
        heap, heap.copy(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(object))));
  if (left_out(object, name))
    fail_template(
        fmt::format("the method '{}' of '{}' is not available in chat templates here", name, type_name(object)));
  return std::nullopt;
}

// What Python's object[index] finds.
std::optional<Value> own_element(Run& run, const Value& object, const Value& index) {
  auto& heap = run.heap();
  if (object.is(Kind::dict)) {
    const auto* value = hashable(index) ? find(heap, object.dict(), index) : nullptr;
    return value ? std::optional(*value) : std::nullopt;
  }
  if (!index.whole()) return std::nullopt;
  const bool indexed = object.is(Kind::sequence) && object.sequence().indexed();
  if (!indexed && !object.is(Kind::text)) return std::nullopt;
  const int64_t size = length(heap, object), at = index.integer() < 0 ? index.integer() + size : index.integer();
  if (at < 0 || at >= size) return std::nullopt;
  if (indexed) return object.sequence().at(static_cast<size_t>(at));
  const auto bytes = object.bytes();
  const size_t begin = byte_of(heap, bytes, static_cast<size_t>(at));
  return text_value(heap, bytes.substr(begin, code_point_at(bytes, begin).length), object.text().safe);
}

int64_t bound_of(const Value& value) {
  if (value.is(Kind::none)) return unset;
  return std::max(value.integer(), unset + 1);
}

struct Range {
  int64_t start, count;
};

// Python's slice.indices.
Range range_of(int64_t size, int64_t start, int64_t stop, int64_t step) {
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto place = [&](int64_t at, int64_t otherwise) {
    if (at == unset) return otherwise;
    return at < 0 ? std::max(at + size, low) : std::min(at, high);
  };
  const int64_t from = place(start, step < 0 ? high : low), to = place(stop, step < 0 ? low : high);
  const int64_t span = step < 0 ? from - to : to - from, pace = step < 0 ? -step : step;
  return {from, span <= 0 ? 0 : (span - 1) / pace + 1};
}

Value text_slice(Run& run, const Value& text, Range range, int64_t step) {
  auto& heap = run.heap();
  const auto bytes = text.bytes();
  if (step == 1) {
    const size_t begin = byte_of(heap, bytes, static_cast<size_t>(range.start));
    const auto rest = bytes.substr(begin);
    return text_value(heap, rest.substr(0, byte_of(heap, rest, static_cast<size_t>(range.count))), text.text().safe);
  }
  const auto& letters = items(heap, text);
  std::string out;
  for (int64_t i = 0; i < range.count; ++i) out += letters.at(static_cast<size_t>(range.start + i * step)).bytes();
  return new_text(heap, out, text.text().safe);
}

}  // namespace

Value Run::attribute(const Value& object, const Value& name) {
  if (object.is(Kind::undefined)) fail_undefined(heap_, object);
  if (object.is(Kind::dict) && !dict_method(name.bytes()) && !changes_its_object(object, name.bytes())) {
    const auto* value = find(heap_, object.dict(), name.bytes());
    return value ? *value : undefined_of(heap_, object, name);
  }
  if (const auto value = own_attribute(*this, object, name.bytes())) return *value;
  if (const auto value = own_element(*this, object, name)) return *value;
  return undefined_of(heap_, object, name);
}

Value Run::element(const Value& object, const Value& index) {
  if (object.is(Kind::undefined)) fail_undefined(heap_, object);
  if (const auto value = own_element(*this, object, index)) return *value;
  if (index.is(Kind::text))
    if (const auto value = own_attribute(*this, object, index.bytes())) return *value;
  return undefined_of(heap_, object, index);
}

Value Run::slice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is(Kind::undefined)) fail_undefined(heap_, object);
  const bool sliced = object.is(Kind::text) || (object.is(Kind::sequence) && object.sequence().indexed());
  const auto bound = [](const Value& value) { return value.is(Kind::none) || value.whole(); };
  if (!sliced || !bound(start) || !bound(stop) || !bound(step))
    return undefined_hint(heap_, heap_.copy(fmt::format("'{} object' has no such slice", type_name(object))));
  const int64_t pace = step.is(Kind::none) ? 1 : std::max(bound_of(step), -INT64_MAX);
  if (pace == 0) fail_template("slice step cannot be zero");
  const auto range = range_of(length(heap_, object), bound_of(start), bound_of(stop), pace);
  if (object.is(Kind::text)) return text_slice(*this, object, range, pace);
  const auto& from = object.sequence();
  const auto values = heap_.array<Value>(static_cast<size_t>(range.count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = from.at(static_cast<size_t>(range.start + static_cast<int64_t>(i) * pace));
  return sequence_value(heap_, values, from.type == Sequence::Type::list ? from.type : Sequence::Type::tuple);
}

}  // namespace antiphon::text::jinja
