#include <antiphon/data/options.h>

#include <fmt/format.h>

#include <antiphon/data/key_names.h>
#include <antiphon/media/limits.h>
#include <antiphon/model/slot.h>

namespace antiphon::data {
namespace {

// One component of a source: its name and its table of options.
void check_component(const char* kind, const std::string& name, const config::Value& options,
                     const std::string& section, config::Problems& problems) {
  const auto* table = options.get_if<config::Value::Table>();
  if (!table)
    problems.add(options.where, fmt::format("[{}] is a {}; expected a table", section, options.type_name()));
  else if (name != "auto")
    model::check_keys(kind, name, options, section, problems);
  else if (!table->empty())
    problems.add(options.where, fmt::format("[{}] are options of no {} in particular", section, kind),
                 "name it beside them");
}

// Tables had an option for it once, the other way round. A source may still have one of that name.
void check_moved(const SourceOptions& source, const std::string& section, config::Problems& problems) {
  const auto* rename = source.source_options.find("rename");
  if (!rename) return;
  config::Problems told;
  const auto known = model::check_keys("data_source", source.source, source.source_options, section, told);
  if (!known || !known->find("rename"))
    problems.add(rename->where, fmt::format("[{}] renames columns; `rename` is an option of every source now", section),
                 "write it beside source_options, the column first: rename = { COLUMN = \"KEY\" }");
}

void check_split(const SplitOptions& split, const std::string& section, config::Problems& problems) {
  for (size_t i = 0; i < split.sources.size(); ++i) {
    const auto& source = split.sources[i];
    const auto at = fmt::format("{}.sources.{}", section, i);
    check_key_names(source, at, problems);
    check_moved(source, at + ".source_options", problems);
    check_component("data_source", source.source, source.source_options, at + ".source_options", problems);
    check_component("record_format", source.format, source.format_options, at + ".format_options", problems);
  }
}

const config::Table<SourceOptions>& source_table() {
  using O = SourceOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("source")
          .field("path", &O::path, "a file of records, a folder, or a pattern of several files: talks-{0..7}.jsonl",
                 {.required = true})
          .field("media_folder", &O::media_folder,
                 "the folder that its relative paths of media are relative to; empty: that of the file")
          .field("rename", &O::rename,
                 "a table: key of the records (a column) = key of a layout, { audio_path = \"audio\" }")
          .field("ignore", &O::ignore, "keys of the records (columns) that are as if they were not there")
          .field("weight", &O::weight, "how often its samples come, relative to those of other sources",
                 {.min = 0, .above_min = true})
          .field("max_samples", &O::max_samples, "its first records alone, so many; 0: all", {.min = 0})
          .field("epochs", &O::epochs,
                 "in training: passes over it, after which it has ended; the run ends with the last source that has an "
                 "end. 0: it goes on",
                 {.min = 0, .max = 1000000})
          .field("source", &O::source, "the data source that reads the file; auto: the one that recognises it")
          .field("format", &O::format, "the record format; auto: for each record the one that recognises it")
          .field("source_options", &O::source_options, "a table of options of the source that is named")
          .field("format_options", &O::format_options, "a table of options of the format that is named"));
  return *table;
}

const config::Table<SplitOptions>& split_table() {
  static const auto* table = new config::Table<SplitOptions>(
      config::Table<SplitOptions>("split")
          .field("enabled", &SplitOptions::enabled, "false drops a set that an extended file names")
          .tables("sources", &SplitOptions::sources, source_table(), "what is read", {.required = true}));
  return *table;
}

// Training may be left out of a file that only evaluates.
const config::Table<SplitOptions>& train_split_table() {
  static const auto* table = new config::Table<SplitOptions>(
      config::Table<SplitOptions>("split").tables("sources", &SplitOptions::sources, source_table(), "what is read"));
  return *table;
}

const config::Table<media::ImageReading>& image_table() {
  using I = media::ImageReading;
  static const auto* table = new config::Table<I>(
      config::Table<I>("image")
          .field("transparency", &I::transparency,
                 "what is below a transparency: its own colours, as transformers' load_image has it, or white",
                 {.choices = {"drop", "white"}})
          .field("gray16", &I::gray16,
                 "gray of 16 bits: values above 255 clipped to white, as Pillow has it, or scaled to 8 bits",
                 {.choices = {"clip", "scale"}}));
  return *table;
}

const config::Table<SoundReading>& audio_table() {
  static const auto* table = new config::Table<SoundReading>(config::Table<SoundReading>("audio").field(
      "channel", &SoundReading::channel,
      "what is heard of sounds with several channels: mean, or the number of one of them, from 0 on"));
  return *table;
}

const config::Table<VideoSampling>& video_table() {
  using V = VideoSampling;
  static const auto* table = new config::Table<V>(
      config::Table<V>("video")
          .field("frames", &V::frames,
                 "frames of a video, evenly spread; 0: as an encoder that takes videos chooses, else 8",
                 {.min = 0, .max = 768})
          .field("frames_per_second", &V::frames_per_second, "frames by time instead; 0: `frames` of them",
                 {.min = 0, .max = 60})
          .field("sound", &V::sound, "its sound too, if the model has a stream for it")
          .field("interleave", &V::interleave,
                 "frames and sound in the order of time, or by chunks of it if a model takes both as one; else the "
                 "sound comes last"));
  return *table;
}

void check_audio(const SoundReading& audio, config::Problems& problems) {
  const auto* word = audio.channel.get_if<std::string>();
  const auto most = media::MediaLimits{}.channels - 1;
  if (word ? *word == "mean" : audio.chosen().value_or(-1) >= 0 && *audio.chosen() <= most) return;
  problems.add(audio.channel.where,
               fmt::format("data.audio.channel is {}; expected \"mean\" or a number from 0 to {}",
                           config::to_json(audio.channel, -1), most),
               "channels are counted from 0: the left one of two is 0");
}

}  // namespace

const config::Table<DataOptions>& data_table() {
  using O = DataOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("data")
          .table("train", &O::train, train_split_table(), "samples to train on")
          .map("eval", &O::eval, split_table(), "named sets of held-out samples")
          .table("image", &O::image, image_table(), "how pictures become RGB")
          .table("audio", &O::audio, audio_table(), "how sounds become samples")
          .table("video", &O::video, video_table(), "what is taken of a video")
          .field("blend", &O::blend,
                 "by_size: each source at a rate of its samples times its weight; by_weight: of its weight alone; "
                 "round_robin: one of each in turn",
                 {.choices = {"by_size", "by_weight", "round_robin"}})
          .field("temperature", &O::temperature,
                 "by_size with the samples to the power of 1 / temperature: above 1 small sources come more often than "
                 "that, and all equally often in the end",
                 {.min = 0.01, .max = 1000})
          .field("shuffle", &O::shuffle, "a new order every epoch")
          .table("filter", &O::filter, filter_table(), "training samples that are left out by what they measure")
          .table("packing", &O::packing, packing_table(), "which samples come into a batch together")
          .table("augment", &O::augment, augment_table(), "how media are changed at random in training")
          .table("attributes", &O::attributes, attributes_table(), "what a model is told of its answers (SteerLM)")
          .field("threads", &O::threads, "threads that read and process samples", {.min = 1, .max = 256})
          .field("prefetch", &O::prefetch, "samples kept ready", {.min = 1, .max = 100000})
          .field("feature_cache", &O::feature_cache, "folder for the features of frozen encoders; empty: none")
          .field("max_consecutive_bad", &O::max_consecutive_bad, "the run stops after so many bad samples in a row",
                 {.min = 1})
          .field("max_bad_fraction", &O::max_bad_fraction,
                 "the run stops when more than this share of at least 200 samples is bad", {.min = 0, .max = 1}));
  return *table;
}

std::optional<int64_t> SoundReading::chosen() const {
  const auto* number = channel.get_if<int64_t>();
  return number ? std::optional(*number) : std::nullopt;
}

void check_sources(const DataOptions& options, config::Problems& problems) {
  check_split(options.train, "data.train", problems);
  for (const auto& [name, split] : options.eval) check_split(split, "data.eval." + name, problems);
}

// Temperature is of sizes, and with round_robin weights have no effect; cached features are those of unchanged media.
void check_data(const DataOptions& o, config::Problems& problems) {
  const bool in_turn = o.blend == "round_robin";
  if (o.blend != "by_size" && o.temperature != 1)
    problems.add({}, fmt::format("data.temperature has no effect with data.blend = \"{}\"", o.blend),
                 "leave one of them out");
  for (size_t i = 0; in_turn && i < o.train.sources.size(); ++i)
    if (o.train.sources[i].weight != 1)
      problems.add({}, fmt::format("data.train.sources.{}.weight has no effect with data.blend = \"round_robin\"", i),
                   "leave one of them out");
  for (const auto& [name, split] : o.eval)
    for (const auto& source : split.sources)
      if (source.epochs > 0)
        problems.add({}, fmt::format("data.eval.{}: epochs are of training data", name), "leave epochs out");
  if (o.augment.any() && !o.feature_cache.empty())
    problems.add({}, "data.augment changes media anew each time, and data.feature_cache would keep their features",
                 "set data.feature_cache = \"\", or leave data.augment out");
  check_audio(o.audio, problems);
  check_packing(o.packing, problems);
  check_augment(o.augment, problems);
  check_attributes(o.attributes, problems);
}

}  // namespace antiphon::data
