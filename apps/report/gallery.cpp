#include <report/gallery.h>

#include <fmt/format.h>

#include <algorithm>

#include <antiphon/base/files.h>
#include <report/media_embed.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;

// One sample, and its prediction in each run; null if that run has none.
struct Joined {
  std::vector<Prediction*> runs;
  std::string order;  // hash of the key: a shuffle that is the same everywhere
  Prediction& any() const {
    return **std::find_if(runs.begin(), runs.end(), [](auto* p) { return p != nullptr; });
  }
};
using Sets = std::map<std::string, std::vector<Joined>>;

Sets join_runs(std::vector<RunData>& runs) {
  std::map<std::string, Joined> all;
  for (size_t i = 0; i < runs.size(); ++i)
    for (auto& prediction : runs[i].predictions.all) {
      auto& joined = all[prediction.key];
      joined.runs.resize(runs.size());
      joined.runs[i] = &prediction;
    }
  Sets sets;
  for (auto& [key, joined] : all) {
    joined.order = content_hash(key);
    sets[joined.any().set].push_back(std::move(joined));
  }
  return sets;
}

// Samples of one task that were answered alike.
std::string bucket_of(const Joined& joined) {
  std::string bucket = joined.any().task;
  for (const auto* p : joined.runs) bucket += !p ? "\n-" : !p->right ? "\n?" : *p->right ? "\n1" : "\n0";
  return bucket;
}

std::vector<Joined> choose(std::vector<Joined> all, size_t count) {
  std::sort(all.begin(), all.end(), [](const Joined& a, const Joined& b) { return a.order < b.order; });
  std::map<std::string, std::vector<Joined>> buckets;
  for (auto& joined : all) buckets[bucket_of(joined)].push_back(std::move(joined));
  std::vector<Joined> chosen;
  for (size_t i = 0, before = SIZE_MAX; chosen.size() < count && chosen.size() != before; ++i) {
    before = chosen.size();
    for (auto& [name, members] : buckets)
      if (i < members.size() && chosen.size() < count) chosen.push_back(std::move(members[i]));
  }
  return chosen;
}

json answer_of(const Prediction* prediction) {
  if (!prediction) return nullptr;
  const auto right = prediction->right ? json(*prediction->right) : json();
  return {{"predicted", prediction->predicted}, {"right", right}, {"losses", prediction->losses}};
}

json shown_media(const json& media, MediaEmbedder& embedder) {
  if (media.contains("path")) return embedder.add(text_or(media, "type"), text_or(media, "path"));
  return {{"type", text_or(media, "type")}, {"name", text_or(media, "name")}, {"note", "within the data set, no file"}};
}

json sample_of(const Joined& joined, std::vector<SampleFinder>& finders, MediaEmbedder& embedder) {
  auto& p = joined.any();
  const auto at = std::find(joined.runs.begin(), joined.runs.end(), &p) - joined.runs.begin();
  const auto note = finders[static_cast<size_t>(at)].complete(p);
  json out{{"set", p.set},           {"id", p.id},     {"task", p.task},
           {"tags", p.tags},         {"note", note},   {"question", p.question.value_or("")},
           {"expected", p.expected}, {"runs", json()}, {"place", fmt::format("{}:{}", p.file, p.line)}};
  out["media"] = json::array(), out["runs"] = json::array();
  for (const auto& media : p.media)
    if (media.is_object()) out["media"].push_back(shown_media(media, embedder));
  for (const auto* run : joined.runs) out["runs"].push_back(answer_of(run));
  return out;
}

}  // namespace

json gallery(std::vector<RunData>& runs, const GalleryOptions& options) {
  std::vector<SampleFinder> finders;
  for (const auto& run : runs) finders.emplace_back(run.path);
  MediaEmbedder embedder(options.media_bytes);
  json out{{"sets", json::array()}, {"samples", json::array()}};
  std::vector<std::vector<Joined>> chosen;
  size_t longest = 0;
  for (auto& [name, all] : join_runs(runs)) {
    const auto total = all.size();
    chosen.push_back(choose(std::move(all), static_cast<size_t>(options.samples)));
    longest = std::max(longest, chosen.back().size());
    out["sets"].push_back({{"name", name}, {"shown", chosen.back().size()}, {"total", total}});
  }
  // Set by set in turn: when the media budget runs out, it does so for all alike.
  for (size_t i = 0; i < longest; ++i)
    for (const auto& set : chosen)
      if (i < set.size()) out["samples"].push_back(sample_of(set[i], finders, embedder));
  out["assets"] = embedder.take_assets();
  return out;
}

}  // namespace antiphon::apps::report
