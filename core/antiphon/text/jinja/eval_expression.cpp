#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/run.h>

namespace antiphon::text::jinja {
namespace {

bool holds(Run& run, Comparison kind, const Value& left, const Value& right) {
  auto& heap = run.heap();
  const auto ordered = [&](std::string_view sign, auto accept) { return accept(order(heap, left, right, sign)); };
  switch (kind) {
    case Comparison::equal: return equal(heap, left, right);
    case Comparison::unequal: return !equal(heap, left, right);
    case Comparison::less: return ordered("<", [](int o) { return o == -1; });
    case Comparison::less_equal: return ordered("<=", [](int o) { return o == -1 || o == 0; });
    case Comparison::greater: return ordered(">", [](int o) { return o == 1; });
    case Comparison::greater_equal: return ordered(">=", [](int o) { return o == 0 || o == 1; });
    case Comparison::in: return contains(heap, right, left);
    case Comparison::not_in: return !contains(heap, right, left);
  }
  return false;
}

}  // namespace

Value NameNode::eval(Run& run) const { return run.lookup(name); }

Value SequenceNode::eval(Run& run) const {
  const auto made = run.heap().array<Value>(values.size());
  for (size_t i = 0; i < made.size(); ++i) made[i] = run.eval(*values[i]);
  return sequence_value(run.heap(), made, type);
}

Value DictNode::eval(Run& run) const {
  DictBuilder dict(run.heap(), pairs.size());
  for (const auto& [key, value] : pairs) {
    const auto name = run.eval(*key);
    dict.set(name, run.eval(*value));
  }
  return dict.value();
}

Value UnaryNode::eval(Run& run) const {
  const auto given = run.eval(*value);
  if (sign == '!') return Value(!truth(given));
  return sign == '-' ? negative(run.heap(), given) : positive(run.heap(), given);
}

Value ArithmeticNode::eval(Run& run) const {
  auto value = run.eval(*first);
  for (const auto& [op, right] : rest) value = calculate(run, op, value, run.eval(*right));
  return value;
}

Value ConcatNode::eval(Run& run) const {
  auto& heap = run.heap();
  auto text = text_value(heap, to_text(heap, run.eval(*parts[0])));
  for (size_t i = 1; i < parts.size(); ++i) text = joined_text(heap, text, to_text(heap, run.eval(*parts[i])));
  return text;
}

Value LogicNode::eval(Run& run) const {
  Value value;
  for (const auto& part : parts) {
    value = run.eval(*part);
    if (truth(value) == any) break;
  }
  return value;
}

Value CompareNode::eval(Run& run) const {
  auto left = run.eval(*first);
  for (const auto& [kind, node] : rest) {
    const auto right = run.eval(*node);
    if (!holds(run, kind, left, right)) return Value(false);
    left = right;
  }
  return Value(true);
}

Value ConditionalNode::eval(Run& run) const {
  if (truth(run.eval(*test))) return run.eval(*then);
  if (otherwise) return run.eval(*otherwise);
  return undefined_hint(run.heap(), "the inline if-expression evaluated to false and no else section was defined.");
}

Value AttributeNode::eval(Run& run) const {
  return run.attribute(run.eval(*object), Value(static_cast<const Text*>(&text)));
}

Value ElementNode::eval(Run& run) const {
  const auto owner = run.eval(*object);
  return run.element(owner, run.eval(*index));
}

Value SliceNode::eval(Run& run) const {
  const auto part = [&](const ExprPtr& node) { return node ? run.eval(*node) : Value(); };
  const auto whole = run.eval(*object);
  const auto from = part(start), to = part(stop);
  return run.slice(whole, from, to, part(step));
}

Value CallNode::eval(Run& run) const { return call(run, nullptr); }

Value CallNode::call(Run& run, const Value* caller) const {
  const auto function = run.eval(*callee);
  const auto given = run.arguments(arguments, caller);
  return run.call(function, given);
}

Value FilterNode::eval(Run& run) const { return apply(run, Value()); }

Value FilterNode::apply(Run& run, const Value& given) const {
  const Heap::Level level(run.heap());
  const auto value = chained ? static_cast<const FilterNode&>(*input).apply(run, given)
                     : input ? run.eval(*input)
                             : given;
  const auto all = run.arguments(arguments);
  return run.filter(name, value, all);
}

Value TestNode::eval(Run& run) const {
  const auto value = run.eval(*input);
  const auto all = run.arguments(arguments);
  return Value(run.test(name, value, all));
}

}  // namespace antiphon::text::jinja
