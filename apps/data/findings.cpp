#include <data/findings.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace antiphon::apps {
namespace {

using nlohmann::json;

template <class T>
json spread(std::vector<T> values) {
  if (values.empty()) return nullptr;
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<size_t>(rank, 1) - 1];
  };
  return {{"min", values.front()}, {"median", at(0.5)}, {"p95", at(0.95)}, {"max", values.back()}};
}

json media_of(const std::vector<const MediaFacts*>& items) {
  std::vector<int64_t> tokens, widths, heights;
  std::vector<double> seconds;
  std::set<std::string> files;
  for (const auto* item : items) {
    files.insert(item->content);
    tokens.push_back(item->tokens);
    if (item->modality != Modality::audio) widths.push_back(item->width), heights.push_back(item->height);
    if (item->modality != Modality::image) seconds.push_back(item->seconds);
  }
  return {{"items", items.size()},
          {"files", files.size()},
          {"tokens", spread(tokens)},
          {"width", spread(widths)},
          {"height", spread(heights)},
          {"seconds", spread(seconds)},
          {"seconds_total", std::accumulate(seconds.begin(), seconds.end(), 0.0)}};
}

json source_json(const SourceFindings& source) {
  std::vector<int64_t> tokens;
  int64_t all = 0, supervised = 0;
  std::map<std::string, std::vector<const MediaFacts*>> streams;
  std::map<std::string, int64_t> unread, left_out;
  for (const auto& sample : source.samples) {
    if (sample.left_out) ++left_out[std::string(data::filter_reason(*sample.left_out))];
    for (const auto& key : sample.unread) ++unread[key];
    if (sample.tokens > 0) tokens.push_back(sample.tokens);
    all += sample.tokens, supervised += sample.supervised;
    for (const auto& media : sample.media)
      if (sample.reason.empty()) streams[media.stream].push_back(&media);
  }
  json out{{"set", source.set},
           {"path", source.path},
           {"samples", source.samples.size()},
           {"bad", count_bad(source)},
           {"same_ids", count_same_ids(source)},
           {"tokens", spread(tokens)},
           {"supervised_share", all ? json(static_cast<double>(supervised) / static_cast<double>(all)) : json()},
           {"unread_keys", unread},
           {"left_out", left_out},
           {"media", json::object()}};
  for (const auto& [stream, items] : streams) out["media"][stream] = media_of(items);
  return out;
}

// The most frequent kind first.
json reasons_json(const std::vector<SourceFindings>& findings) {
  struct Group {
    int64_t count = 0;
    std::string example;
    std::vector<std::string> places;
  };
  std::map<std::string, Group> groups;
  const auto add = [&](const std::string& kind, const std::string& reason, std::string place) {
    auto& group = groups[kind];
    if (group.count++ == 0) group.example = reason;
    if (group.places.size() < 3) group.places.push_back(std::move(place));
  };
  for (const auto& source : findings) {
    if (!source.failure.empty()) add(source.failure, source.failure, source.path);
    for (const auto& sample : source.samples)
      if (!sample.reason.empty()) add(sample.kind, sample.reason, fmt::format("{}:{}", source.path, sample.line));
  }
  std::vector<std::pair<std::string, Group>> sorted(groups.begin(), groups.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.second.count > b.second.count; });
  json out = json::array();
  for (const auto& [kind, group] : sorted)
    out.push_back({{"reason", kind}, {"count", group.count}, {"places", group.places}, {"example", group.example}});
  return out;
}

}  // namespace

json to_json(const std::vector<SourceFindings>& findings) {
  json out{{"sources", json::array()}, {"reasons", reasons_json(findings)}, {"leaks", json::array()}};
  int64_t samples = 0, bad = 0;
  for (const auto& source : findings) {
    out["sources"].push_back(source_json(source));
    samples += static_cast<int64_t>(source.samples.size()), bad += count_bad(source);
  }
  for (const auto& leak : find_leaks(findings))
    out["leaks"].push_back({{"set", leak.set},
                            {"media", leak.media},
                            {"samples", leak.samples},
                            {"train_place", leak.train_place},
                            {"place", leak.place}});
  out["samples"] = samples, out["bad"] = bad;
  return out;
}

}  // namespace antiphon::apps
