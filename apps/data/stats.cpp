#include <data/stats.h>

#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>
#include <data/histogram.h>

#include <nlohmann/json.hpp>

namespace antiphon::apps {
namespace {

using nlohmann::json;

struct Values {
  std::vector<double> tokens, shares, seconds, widths, heights;

  void add(const Examined& sample) {
    if (sample.tokens > 0) {
      tokens.push_back(static_cast<double>(sample.tokens));
      shares.push_back(static_cast<double>(sample.supervised) / static_cast<double>(sample.tokens));
    }
    for (const auto& media : sample.media) {
      if (media.modality != Modality::image) seconds.push_back(media.seconds);
      if (media.modality == Modality::audio) continue;
      widths.push_back(static_cast<double>(media.width)), heights.push_back(static_cast<double>(media.height));
    }
  }
};

json source_stats(const SourceFindings& source) {
  Values values;
  int64_t left_out = 0;
  for (const auto& sample : source.samples) {
    left_out += sample.left_out.has_value();
    if (sample.reason.empty() && !sample.left_out) values.add(sample);
  }
  return {{"set", source.set},
          {"path", source.path},
          {"samples", source.samples.size()},
          {"bad", count_bad(source)},
          {"left_out", left_out},
          {"tokens", to_json(histogram_of(values.tokens, true))},
          {"supervised_share", to_json(histogram_of(values.shares, false))},
          {"seconds", to_json(histogram_of(values.seconds, false))},
          {"width", to_json(histogram_of(values.widths, true))},
          {"height", to_json(histogram_of(values.heights, true))}};
}

}  // namespace

json stats_of(const std::vector<SourceFindings>& findings) {
  json out{{"sources", json::array()}};
  for (const auto& source : findings) out["sources"].push_back(source_stats(source));
  return out;
}

void print_stats(const json& stats) {
  for (const auto& source : stats["sources"]) {
    const auto set = source["set"].get<std::string>();
    fmt::print("{}{}: {} samples, {} bad, {} left out by data.filter\n", shown(source["path"].get<std::string>()),
               set.empty() ? "" : fmt::format(" ({})", set), source["samples"].get<int64_t>(),
               source["bad"].get<int64_t>(), source["left_out"].get<int64_t>());
    fmt::print("{}{}{}{}{}", shown_histogram("tokens of a sample", source["tokens"]),
               shown_histogram("supervised share of a sample", source["supervised_share"]),
               shown_histogram("seconds of a sound or video", source["seconds"]),
               shown_histogram("width of a picture", source["width"]),
               shown_histogram("height of a picture", source["height"]));
  }
  push_stdout();
}

}  // namespace antiphon::apps
