#include <data/show.h>

#include <fmt/format.h>

#include <data/visible.h>

#include <algorithm>
#include <map>

namespace antiphon::apps {
namespace {

std::string token_at(const Shown& sample, const text::Tokenizer& tokenizer, int64_t i) {
  for (size_t m = 0; m < sample.prepared.media.size(); ++m) {
    const auto& media = sample.prepared.media[m];
    const auto within = i - media.position;
    if (within < 0 || within >= media.item.tokens) continue;
    const auto& ids = media.item.ids;
    if (ids.empty() || ids[static_cast<size_t>(within)] != model::StreamItem::kOfOther)
      return fmt::format("[{} {}/{}]", media.is_prompt() ? "virtual token" : media.stream, within + 1,
                         media.item.tokens);
  }
  return visible(tokenizer.bytes_of(static_cast<int32_t>(sample.prepared.ids[static_cast<size_t>(i)])), false);
}

std::string counted(int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

std::string shown_changes(const Shown& sample) {
  std::string out;
  for (size_t i = 0; i < sample.prepared.media.size(); ++i)
    if (const auto& changes = sample.prepared.media[i].augmented; !changes.empty())
      out += fmt::format("augmented {}: {}\n", visible(sample.names.at(i), false), changes);
  return out;
}

std::string shown_counts(const Shown& sample) {
  const auto& prepared = sample.prepared;
  const auto supervised = prepared.supervised_count();
  const auto is_medium = [](const auto& media) { return !media.is_prompt(); };
  const auto items = static_cast<int64_t>(std::ranges::count_if(prepared.media, is_medium));
  auto out = fmt::format("{}, {} supervised ({:.1f} %), {}\n", counted(prepared.tokens(), "token"), supervised,
                         100 * static_cast<double>(supervised) / static_cast<double>(prepared.tokens()),
                         counted(items, "media item"));
  std::map<std::string, std::pair<int64_t, int64_t>> streams;
  for (const auto& media : prepared.media) {
    if (media.is_prompt()) continue;
    ++streams[media.stream].first;
    streams[media.stream].second += media.item.own_tokens();
  }
  for (const auto& [name, count] : streams)
    out += fmt::format("  stream {}: {}, {}\n", name, counted(count.first, "item"), counted(count.second, "token"));
  return out;
}

std::string shown_labels(const Shown& sample, const text::Tokenizer& tokenizer, bool all) {
  const auto& supervised = sample.prepared.supervised;
  std::vector<int64_t> positions;  // that read a token, the next one being predicted or not
  const auto predicts = [&](int64_t i) {
    return i + 1 < sample.prepared.tokens() && supervised[static_cast<size_t>(i + 1)];
  };
  for (int64_t i = 0; i < sample.prepared.tokens(); ++i)
    if (all || predicts(i)) positions.push_back(i);
  constexpr size_t kEnds = 4;
  std::string out = "predicted: each position predicts the token after it\n";
  for (size_t n = 0; n < positions.size(); ++n) {
    if (!all && positions.size() > 2 * kEnds && n == kEnds) {
      out += fmt::format("  {:>6}  ({} more; --tokens lists them)\n", "…", positions.size() - 2 * kEnds);
      n = positions.size() - kEnds;
    }
    const int64_t i = positions[n];
    out += fmt::format("  {:>6}  {}{}\n", i, token_at(sample, tokenizer, i),
                       predicts(i) ? fmt::format(" -> {}", token_at(sample, tokenizer, i + 1)) : "");
  }
  return out;
}

}  // namespace antiphon::apps
