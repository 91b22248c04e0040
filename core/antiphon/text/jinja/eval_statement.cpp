#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/run.h>

namespace antiphon::text::jinja {

Flow DataNode::exec(Run& run) const {
  run.write(text);
  return Flow::next;
}

Flow PrintNode::exec(Run& run) const {
  for (const auto& value : values) run.write(to_text(run.heap(), run.eval(*value)));
  return Flow::next;
}

Flow IfNode::exec(Run& run) const {
  for (const auto& [test, body] : branches)
    if (truth(run.eval(*test))) return run.exec(body);
  return run.exec(otherwise);
}

Flow ForNode::exec(Run& run) const { return loop(run, run.eval(*iterated), 1, run.scope()); }

namespace {

// The items that pass the test of `for … if`.
const Sequence& passed(Run& run, const ForNode& node, const Sequence& all, Scope* scope) {
  const Run::Inner inner(run, scope);
  const auto values = run.heap().array<Value>(all.size());
  size_t count = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    run.assign(node.target, all.at(i));
    if (truth(run.eval(*node.test))) values[count++] = all.at(i);
  }
  return *run.heap().make(Sequence{Sequence::Type::list, values.first(count)});
}

}  // namespace

Flow ForNode::loop(Run& run, const Value& over, int64_t depth, Scope* scope) const {
  auto& heap = run.heap();
  const Heap::Level level(heap);
  const auto* all = &items(heap, over);
  if (test) all = &passed(run, *this, *all, scope);
  auto* state = heap.make(Loop{all, 0, depth, recursive ? this : nullptr, scope});
  const Run::Inner inner(run, scope);
  for (; state->index < all->size(); ++state->index) {
    heap.step();
    run.scope()->size = 0;
    run.assign(loop_name, Value(state));
    run.assign(target, all->at(state->index));
    if (run.exec(body) == Flow::leave) break;
  }
  if (all->size() > 0) return Flow::next;
  run.scope()->size = 0;
  return run.exec(otherwise);
}

Flow SetNode::exec(Run& run) const {
  run.assign(target, run.eval(*value));
  return Flow::next;
}

Flow SetBlockNode::exec(Run& run) const {
  Flow flow = Flow::next;
  Value text;
  {
    const Run::Inner inner(run, run.scope());
    text = run.capture(body, &flow);
    if (flow == Flow::next && filter) text = filter->apply(run, text);
  }
  if (flow == Flow::next) run.assign(target, text);
  return flow;
}

Flow WithNode::exec(Run& run) const {
  const auto given = run.heap().array<Value>(values.size());
  for (size_t i = 0; i < values.size(); ++i) given[i] = run.eval(*values[i].second);
  const Run::Inner inner(run, run.scope());
  for (size_t i = 0; i < values.size(); ++i) run.assign(values[i].first, given[i]);
  return run.exec(body);
}

Flow FilterBlockNode::exec(Run& run) const {
  Flow flow = Flow::next;
  const Run::Inner inner(run, run.scope());
  const auto text = run.capture(body, &flow);
  if (flow == Flow::next) run.write(to_text(run.heap(), filter->apply(run, text)));
  return flow;
}

Flow GenerationNode::exec(Run& run) const {
  const Run::Inner inner(run, run.scope());
  return run.exec(body);
}

Flow MacroNode::exec(Run& run) const {
  Function function{words, nullptr, {}, this, run.scope()};
  run.assign(name, Value(static_cast<const Function*>(run.heap().make(function))));
  return Flow::next;
}

Flow CallBlockNode::exec(Run& run) const {
  Function function{caller->words, nullptr, {}, caller.get(), run.scope()};
  const Value value(static_cast<const Function*>(run.heap().make(function)));
  run.write(to_text(run.heap(), call->call(run, &value)));
  return Flow::next;
}

namespace {

// The argument for each parameter; marks the keywords that are used.
void bind(Run& run, const MacroNode& macro, const Arguments& given, std::span<bool> used) {
  auto& heap = run.heap();
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& parameter = macro.parameters[i];
    const Value* value = i < given.positional.size() ? &given.positional[i] : nullptr;
    for (size_t k = 0; k < given.keywords.size() && i >= given.positional.size(); ++k) {
      if (used[k] || given.keywords[k].name != parameter.words) continue;
      value = &given.keywords[k].value, used[k] = true;
    }
    if (value) {
      run.assign(parameter.name, *value);
    } else if (parameter.otherwise) {
      run.assign(parameter.name, run.eval(*parameter.otherwise));
    } else {
      const auto hint = fmt::format("parameter '{}' was not provided", parameter.words);
      run.assign(parameter.name, undefined_hint(heap, heap.copy(hint)));
    }
  }
}

}  // namespace

Value MacroNode::call(Run& run, const Arguments& given, Scope* scope_of_macro) const {
  auto& heap = run.heap();
  const Heap::Level level(heap);
  const Run::Inner inner(run, scope_of_macro);
  const auto used = heap.array<bool>(given.keywords.size());
  std::fill(used.begin(), used.end(), false);
  bind(run, *this, given, used);
  Value calling = undefined_hint(heap, "No caller defined");
  DictBuilder others(heap, 0);
  for (size_t k = 0; k < given.keywords.size(); ++k) {
    const auto& [key, value] = given.keywords[k];
    if (used[k]) continue;
    if (key == "caller" && uses_caller) {
      calling = value;
    } else if (uses_keywords) {
      others.set(text_value(heap, key), value);
    } else {
      fail_template(fmt::format("macro '{}' takes no keyword argument '{}'", words, key));
    }
  }
  if (given.positional.size() > parameters.size() && !uses_rest)
    fail_template(fmt::format("macro '{}' takes not more than {} argument(s)", words, parameters.size()));
  const bool named = std::any_of(parameters.begin(), parameters.end(), [&](const auto& p) { return p.name == caller; });
  if (uses_caller && !named) run.assign(caller, calling);
  if (uses_keywords) run.assign(keywords, others.value());
  if (uses_rest) {
    const auto count = std::min(parameters.size(), given.positional.size());
    const auto values = heap.array<Value>(given.positional.size() - count);
    std::copy(given.positional.begin() + static_cast<ptrdiff_t>(count), given.positional.end(), values.begin());
    run.assign(rest, sequence_value(heap, values, Sequence::Type::tuple));
  }
  return run.capture(body);
}

}  // namespace antiphon::text::jinja
