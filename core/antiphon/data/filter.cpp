#include <antiphon/data/filter.h>

#include <fmt/format.h>

#include <antiphon/base/strings.h>

#include <numeric>

namespace antiphon::data {
namespace {

constexpr std::array<std::string_view, kFilterReasons> kReasonNames{"shorter than min_seconds",
                                                                    "longer than max_seconds",
                                                                    "fewer tokens than min_tokens",
                                                                    "more tokens than max_tokens",
                                                                    "less said than min_tokens_per_second",
                                                                    "more said than max_tokens_per_second"};

}  // namespace

bool FilterOptions::any() const { return !describe().empty(); }

std::string FilterOptions::describe() const {
  std::vector<std::string> words;
  const auto add = [&](const char* name, auto value) {
    if (value > 0) words.push_back(fmt::format("{} {}", name, value));
  };
  add("min_seconds", min_seconds), add("max_seconds", max_seconds);
  add("min_tokens", min_tokens), add("max_tokens", max_tokens);
  add("min_tokens_per_second", min_tokens_per_second), add("max_tokens_per_second", max_tokens_per_second);
  return join(words, ", ");
}

const config::Table<FilterOptions>& filter_table() {
  using F = FilterOptions;
  static const auto* table = new config::Table<F>(
      config::Table<F>("filter")
          .field("min_seconds", &F::min_seconds, "least seconds of sound in a sample that has any", {.min = 0})
          .field("max_seconds", &F::max_seconds, "most seconds of sound; 0: no limit", {.min = 0})
          .field("min_tokens", &F::min_tokens, "least tokens of a sample, media included", {.min = 0})
          .field("max_tokens", &F::max_tokens, "most tokens; 0: no limit", {.min = 0})
          .field("min_tokens_per_second", &F::min_tokens_per_second,
                 "least supervised tokens for a second of sound, in a sample that has any", {.min = 0})
          .field("max_tokens_per_second", &F::max_tokens_per_second, "most of them; 0: no limit", {.min = 0}));
  return *table;
}

std::optional<size_t> left_out_by(const FilterOptions& o, const Measures& m) {
  const auto below = [](double value, double least) { return least > 0 && value < least; };
  const auto above = [](double value, double most) { return most > 0 && value > most; };
  const bool sound = m.sounds > 0;
  const auto tokens = static_cast<double>(m.tokens);
  const double rate = m.seconds > 0 ? static_cast<double>(m.supervised) / m.seconds : 0;
  const std::array<bool, kFilterReasons> out{
      sound && below(m.seconds, o.min_seconds),         sound && above(m.seconds, o.max_seconds),
      below(tokens, static_cast<double>(o.min_tokens)), above(tokens, static_cast<double>(o.max_tokens)),
      sound && below(rate, o.min_tokens_per_second),    sound && above(rate, o.max_tokens_per_second)};
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i]) return i;
  return std::nullopt;
}

std::string_view filter_reason(size_t reason) { return kReasonNames.at(reason); }

int64_t total(const FilterCounts& counts) { return std::reduce(counts.begin(), counts.end()); }

std::string describe(const FilterCounts& counts) {
  std::vector<std::string> words;
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 0) words.push_back(fmt::format("{} {}", counts[i], kReasonNames[i]));
  return join(words, ", ");
}

}  // namespace antiphon::data
