// The functions of the context.
#include <ctime>

#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/run.h>

namespace antiphon::text::jinja {
namespace {

constexpr int64_t max_range = 100'000;  // the sandbox's

Value range(Run& run, const Value&, const Arguments& given) {
  const Bound bound(run.heap(), "range", given, {"start", "stop", "step"}, 1);
  const bool single = !bound.at(1);
  const int64_t start = single ? 0 : bound.whole(0, 0), stop = bound.whole(single ? 0 : 1, 0), step = bound.whole(2, 1);
  if (step == 0) fail_template("range() arg 3 must not be zero");
  const auto span = step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const auto pace = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const auto count = span <= 0 ? 0 : (span - 1) / pace + 1;
  if (count > max_range) fail_limit(fmt::format("asks for a range of more than {} numbers", max_range));
  return Value(run.heap().make(Sequence{Sequence::Type::range, {}, start, step, static_cast<int64_t>(count), stop}));
}

void update(Run& run, const Value& value, auto set) {
  if (value.is(Kind::dict)) {
    for (size_t i = 0; i < value.dict().size; ++i) set(value.dict().pairs[i].key, value.dict().pairs[i].value);
    return;
  }
  const auto& pairs = items(run.heap(), value);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& pair = items(run.heap(), pairs.at(i));
    if (pair.size() != 2) fail_template("a dict is made of pairs");
    set(pair.at(0), pair.at(1));
  }
}

Value make_namespace(Run& run, const Value&, const Arguments& given) {
  auto* names = run.heap().make(Namespace{});
  const auto set_name = [&](const Value& key, const Value& value) {
    if (!key.is(Kind::text)) fail_template("the names of a namespace are str");
    set(run.heap(), *names, key.bytes(), value);
  };
  if (given.positional.size() > 1) fail_template("namespace() takes at most 1 argument");
  if (!given.positional.empty()) update(run, given.positional[0], set_name);
  for (const auto& [name, value] : given.keywords) set(run.heap(), *names, name, value);
  return Value(names);
}

Value make_dict(Run& run, const Value&, const Arguments& given) {
  DictBuilder dict(run.heap(), given.keywords.size());
  if (given.positional.size() > 1) fail_template("dict() takes at most 1 argument");
  if (!given.positional.empty())
    update(run, given.positional[0], [&](const Value& key, const Value& value) { dict.set(key, value); });
  for (const auto& [name, value] : given.keywords) dict.set(text_value(run.heap(), name), value);
  return dict.value();
}

Value raise_exception(Run& run, const Value&, const Arguments& given) {
  const Bound bound(run.heap(), "raise_exception", given, {"message"}, 1);
  throw Problem{Cause::refused, std::string(to_text(run.heap(), *bound.at(0)))};
}

// %f is Python's own: microseconds.
std::string with_microseconds(std::string_view format, Run::Clock::time_point now) {
  std::string out;
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
  for (size_t i = 0; i < format.size(); ++i) {
    const bool field = format[i] == '%' && i + 1 < format.size();
    if (field && format[i + 1] == 'f') {
      out += fmt::format("{:06}", micros);
    } else {
      out += format.substr(i, field ? 2 : 1);
    }
    i += field;
  }
  return out;
}

Value strftime_now(Run& run, const Value&, const Arguments& given) {
  const Bound bound(run.heap(), "strftime_now", given, {"format"}, 1);
  const auto time = Run::Clock::to_time_t(run.now());
  std::tm local{};
  localtime_r(&time, &local);
  const auto given_format = bound.text(0, {});
  if (given_format.size() > 1000) fail_limit("asks for a date in more than 1000 letters");
  // A trailing letter tells an empty date from one that does not fit.
  const auto format = with_microseconds(given_format, run.now()) + ".";
  std::string text(64 << 10, '\0');
  const size_t size = std::strftime(text.data(), text.size(), format.c_str(), &local);
  if (size == 0) fail_limit("asks for a date that is too long");
  return run.text(std::string_view(text).substr(0, size - 1));
}

template <size_t which>
Value absent(Run&, const Value&, const Arguments&) {
  constexpr std::string_view names[] = {"cycler", "joiner", "lipsum"};
  fail_template(fmt::format("the function {}() is not available in chat templates here", names[which]));
}

}  // namespace

Native global_function(std::string_view name) {
  if (name == "range") return range;
  if (name == "namespace") return make_namespace;
  if (name == "dict") return make_dict;
  if (name == "raise_exception") return raise_exception;
  if (name == "strftime_now") return strftime_now;
  return name == "cycler" ? absent<0> : name == "joiner" ? absent<1> : absent<2>;
}

}  // namespace antiphon::text::jinja
