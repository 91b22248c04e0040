// The [data] part of a configuration.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>
#include <antiphon/data/attributes.h>
#include <antiphon/data/augment/options.h>
#include <antiphon/data/filter.h>
#include <antiphon/data/packing.h>
#include <antiphon/media/image/image_reading.h>

namespace antiphon::data {

struct SourceOptions {
  std::string path;
  double weight = 1.0;
  // Components; "auto": those that the file and its records show.
  std::string source = "auto", format = "auto";
  config::Value source_options = config::Value::Table{}, format_options = config::Value::Table{};
  int64_t max_samples = 0, epochs = 0;  // 0: all records; without an end
  std::string media_folder = {};        // "": that of the file
  // Before a layout is looked for: key of the records -> key of a layout; keys that are as if they were not there.
  config::Value rename = config::Value::Table{};
  std::vector<std::string> ignore = {};
};

struct SplitOptions {
  bool enabled = true;
  std::vector<SourceOptions> sources;
};

// How sounds become samples.
struct SoundReading {
  config::Value channel = "mean";         // or a number from 0 on
  std::optional<int64_t> chosen() const;  // nothing: the mean of all channels
};

// What is taken from a video.
struct VideoSampling {
  int64_t frames = 0;
  double frames_per_second = 0;
  bool sound = true, interleave = false;
};

struct DataOptions {
  SplitOptions train;
  std::map<std::string, SplitOptions> eval;
  std::string blend = "by_size";
  double temperature = 1;
  bool shuffle = true;
  FilterOptions filter;
  PackingOptions packing;
  AugmentOptions augment;
  AttributeOptions attributes;
  int64_t threads = 2, prefetch = 64;
  media::ImageReading image;
  SoundReading audio;
  VideoSampling video;
  std::string feature_cache = ".cache/features";
  int64_t max_consecutive_bad = 100;
  double max_bad_fraction = 0.1;
};

const config::Table<DataOptions>& data_table();

// The sources and formats that the configuration names, and their options. Loads the plugins of those alone.
void check_sources(const DataOptions& options, config::Problems& problems);
// What goes together in the rest of the table.
void check_data(const DataOptions& options, config::Problems& problems);

}  // namespace antiphon::data
