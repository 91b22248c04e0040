// Truth, equality and order, as Python has them.
#include <cmath>

#include <fmt/format.h>

#include <antiphon/text/jinja/object.h>
#include <antiphon/text/jinja/words.h>

namespace antiphon::text::jinja {
namespace {

void bound(Heap& heap, int depth) {
  heap.step();
  if (depth > heap.limits().value_depth)
    fail_limit(fmt::format("nests too deep (values within values, more than {} levels)", heap.limits().value_depth));
}

// -1, 0, 1; 2 if one is not a number.
int order_numbers(const Value& left, const Value& right) {
  if (left.whole() && right.whole()) return (left.integer() > right.integer()) - (left.integer() < right.integer());
  if (left.whole()) {
    const int turned = order_numbers(right, left);
    return turned == 2 ? 2 : -turned;
  }
  const double a = left.real();
  if (std::isnan(a) || (right.is(Kind::real) && std::isnan(right.real()))) return 2;
  if (right.is(Kind::real)) return (a > right.real()) - (a < right.real());
  if (a >= 0x1p63) return 1;
  if (a < -0x1p63) return -1;
  const auto floor = static_cast<int64_t>(std::floor(a));
  if (floor != right.integer()) return floor > right.integer() ? 1 : -1;
  return a > std::floor(a) ? 1 : 0;
}

bool tuple_like(const Sequence& s) { return s.type == Sequence::Type::tuple || s.type == Sequence::Type::group; }

bool comparable(const Sequence& left, const Sequence& right) {
  if (&left == &right) return true;
  if (tuple_like(left) && tuple_like(right)) return true;
  return left.type == right.type && (left.type == Sequence::Type::list || left.type == Sequence::Type::range);
}

bool equal_sequences(Heap& heap, const Sequence& left, const Sequence& right, int depth) {
  if (!comparable(left, right) || left.size() != right.size()) return false;
  if (&left == &right && !left.indexed()) return true;
  heap.step(left.size() / 4);
  for (size_t i = 0; i < left.size(); ++i)
    if (!same(left.at(i), right.at(i)) && !equal(heap, left.at(i), right.at(i), depth + 1)) return false;
  return true;
}

bool equal_dicts(Heap& heap, const Dict& left, const Dict& right, int depth) {
  if (left.size != right.size) return false;
  for (const auto& pair : left.pairs.first(left.size)) {
    const auto* other = find(heap, right, pair.key);
    if (!other || !equal(heap, pair.value, *other, depth + 1)) return false;
  }
  return true;
}

[[noreturn]] void fail_order(const Value& left, const Value& right, std::string_view sign) {
  fail_template(
      fmt::format("'{}' not supported between instances of '{}' and '{}'", sign, type_name(left), type_name(right)));
}

int order_sequences(Heap& heap, const Value& left, const Value& right, std::string_view sign, int depth) {
  const auto &a = left.sequence(), &b = right.sequence();
  const bool lists = a.type == Sequence::Type::list && b.type == Sequence::Type::list;
  if (!lists && !(tuple_like(a) && tuple_like(b))) fail_order(left, right, sign);
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (!equal(heap, a.at(i), b.at(i), depth + 1)) return order(heap, a.at(i), b.at(i), sign, depth + 1);
  return (a.size() > b.size()) - (a.size() < b.size());
}

}  // namespace

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none: return false;
    case Kind::boolean:
    case Kind::integer: return value.integer() != 0;
    case Kind::real: return value.real() != 0;
    case Kind::text: return !value.bytes().empty();
    case Kind::sequence: return value.sequence().type == Sequence::Type::generator || value.sequence().size() > 0;
    case Kind::dict: return value.dict().size > 0;
    case Kind::loop: return value.loop().items->size() > 0;
    default: return true;
  }
}

bool same(const Value& left, const Value& right) {
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::none: return true;
    case Kind::boolean:
    case Kind::integer: return left.integer() == right.integer();
    case Kind::real: return left.real() == right.real();
    default: return left.address() == right.address();
  }
}

bool equal(Heap& heap, const Value& left, const Value& right, int depth) {
  bound(heap, depth);
  if (left.number() && right.number()) return order_numbers(left, right) == 0;
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::undefined:
    case Kind::none: return true;
    case Kind::text: heap.work(left.bytes().size()); return left.bytes() == right.bytes();
    case Kind::sequence: return equal_sequences(heap, left.sequence(), right.sequence(), depth);
    case Kind::dict: return equal_dicts(heap, left.dict(), right.dict(), depth);
    default: return left.address() == right.address();
  }
}

int order(Heap& heap, const Value& left, const Value& right, std::string_view sign, int depth) {
  bound(heap, depth);
  if (left.number() && right.number()) return order_numbers(left, right);
  if (left.is(Kind::undefined)) fail_undefined(heap, left);
  if (right.is(Kind::undefined)) fail_undefined(heap, right);
  if (left.is(Kind::text) && right.is(Kind::text)) {
    heap.work(std::min(left.bytes().size(), right.bytes().size()));
    const int sense = left.bytes().compare(right.bytes());  // UTF-8 keeps the order of the characters
    return (sense > 0) - (sense < 0);
  }
  if (left.is(Kind::sequence) && right.is(Kind::sequence)) return order_sequences(heap, left, right, sign, depth);
  fail_order(left, right, sign);
}

bool contains(Heap& heap, const Value& container, const Value& value) {
  if (container.is(Kind::text)) {
    if (!value.is(Kind::text))
      fail_template(fmt::format("'in <string>' requires string as left operand, not {}", type_name(value)));
    return find_bytes(heap, container.bytes(), value.bytes()) != std::string_view::npos;
  }
  if (container.is(Kind::dict)) return find(heap, container.dict(), value) != nullptr;
  if (!iterable(container)) fail_template(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  const auto& all = items(heap, container);
  for (size_t i = 0; i < all.size(); ++i)
    if (equal(heap, all.at(i), value)) return true;
  return false;
}

}  // namespace antiphon::text::jinja
