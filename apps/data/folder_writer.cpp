// Folders of archives with recordings and of the lines beside them. Sources: Lhotse, lhotse/shar/writers (cuts.000000.
// jsonl, recording.000000.tar: of each cut its recording, and what is known of it); NeMo,
// scripts/speech_recognition/convert_to_tarred_audio_dataset.py (audio_0.tar, sharded_manifests/manifest_0.json).
#include <data/writers.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/media/limits.h>
#include <data/tar_out.h>

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

namespace antiphon::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class Folder : public RecordWriter {
 public:
  Folder(const fs::path& folder, int64_t shard_samples) : path_(folder), shard_samples_(shard_samples) {
    check_new(path_), check_new(temporary());
    const auto name = path_.string();
    if (records::is_pattern(path_) || name.find_first_of("}*?[") != std::string::npos)
      fail(ErrorKind::config, fmt::format("'{}' would be read as a pattern of several names", shown(name)),
           "name a folder without brackets, '*', '?' and _OP_");
    std::error_code failed;
    if (!fs::create_directory(temporary(), failed))
      fail_path(ErrorKind::config, "create the folder", temporary(), failed.value());
  }
  void begin(const Sample& sample) override { sample_ = sample.id; }
  std::string add(const MediaRef& ref) override {
    auto bytes = ref.bytes.read(media::MediaLimits{}.file_bytes);
    const auto name = member(pending_.size()) + extension_for(ref, bytes);
    pending_.emplace_back(name, std::move(bytes));
    return name;
  }
  void add_record(const Json& said) override {
    if (!tar_) open();
    auto record = said;
    prepare(record);
    for (const auto& [name, bytes] : pending_) tar_->write(name, bytes);
    pending_.clear();
    lines_->write(record.dump() + "\n");
    if (++count_ % std::max<int64_t>(1, shard_samples_) == 0 && shard_samples_ > 0) close();
  }
  std::vector<File> finish() override {
    if (tar_) close();
    return {{temporary(), path_, 2 * shards_}};
  }
  data::SourceOptions source_of(const File& file) const override {
    data::SourceOptions source{(file.temporary / lines_pattern()).string()};
    source.source = "json_lines";
    source.source_options = config::Value::Table{{"archives", (file.temporary / archives_pattern()).string()}};
    return source;
  }
  void discard() noexcept override {
    std::error_code ignored;
    fs::remove_all(temporary(), ignored);
  }

 protected:
  // Without its extension, of the k-th medium of the sample.
  virtual std::string member(size_t k) const = 0;
  // Completes the record, and what goes into the archive with it.
  virtual void prepare(Json& record) = 0;
  virtual std::string lines_name() const = 0;
  virtual std::string archive_name() const = 0;
  virtual std::string lines_pattern() const = 0;
  virtual std::string archives_pattern() const = 0;

  size_t shards_ = 0;
  int64_t count_ = 0;
  std::string sample_;
  std::vector<std::pair<std::string, std::string>> pending_;

 private:
  fs::path temporary() const { return temporary_of(path_); }
  void open() {
    const auto lines = temporary() / lines_name();
    make_folder(lines.parent_path(), ErrorKind::config);
    lines_ = std::make_unique<Out>(lines), tar_ = std::make_unique<TarOut>(temporary() / archive_name());
  }
  void close() {
    tar_->close(), lines_->close();
    tar_.reset(), lines_.reset();
    ++shards_;
  }
  fs::path path_;
  int64_t shard_samples_;
  std::unique_ptr<Out> lines_;
  std::unique_ptr<TarOut> tar_;
};

class Shar : public Folder {
  using Folder::Folder;
  // Lhotse finds a recording by its cut's id as a path, and whoever unpacks the archive makes one of it.
  void begin(const Sample& sample) override {
    Folder::begin(sample);
    const fs::path id(sample.id);
    if (id.is_absolute() || id.filename().empty() || id.lexically_normal().string() != sample.id ||
        sample.id.starts_with(".."))
      fail(
          ErrorKind::data, fmt::format("the id '{}' is not a path within an archive", shown(sample.id)),
          "Shar names recordings by the ids of their cuts: take out \"//\", \"./\", \"../\" and a \"/\" at either end");
    if (!ids_.insert(sample.id).second)
      fail(ErrorKind::data, fmt::format("two samples have the id '{}'", shown(sample.id)),
           "Shar names recordings by the ids of their cuts: give each its own");
  }
  std::string member(size_t) const override { return sample_; }
  void prepare(Json& cut) override {
    auto& recording = cut.at("recording");
    recording["sources"] = Json::array({{{"type", "shar"}, {"channels", recording["channel_ids"]}, {"source", ""}}});
    pending_.emplace_back(sample_ + ".json", recording.dump());
  }
  std::string lines_name() const override { return fmt::format("cuts.{:06}.jsonl", shards_); }
  std::string archive_name() const override { return fmt::format("recording.{:06}.tar", shards_); }
  std::string lines_pattern() const override { return "cuts.*.jsonl"; }
  std::string archives_pattern() const override { return "recording.*.tar"; }
  std::set<std::string> ids_;
};

class TarredManifests : public Folder {
  using Folder::Folder;
  std::string member(size_t k) const override { return fmt::format("{:08}_{}", count_, k); }
  void prepare(Json& record) override { record["shard_id"] = shards_; }
  std::string lines_name() const override { return fmt::format("sharded_manifests/manifest_{}.json", shards_); }
  std::string archive_name() const override { return fmt::format("audio_{}.tar", shards_); }
  std::string numbers() const { return fmt::format("{{0..{}}}", std::max<size_t>(1, shards_) - 1); }
  std::string lines_pattern() const override { return "sharded_manifests/manifest_" + numbers() + ".json"; }
  std::string archives_pattern() const override { return "audio_" + numbers() + ".tar"; }
};

}  // namespace

std::unique_ptr<RecordWriter> make_folder_writer(const fs::path& folder, const std::string& layout,
                                                 int64_t shard_samples) {
  if (layout == "lhotse_cut") return std::make_unique<Shar>(folder, shard_samples);
  if (layout == "nemo_manifest") return std::make_unique<TarredManifests>(folder, shard_samples);
  fail(ErrorKind::config, fmt::format("'{}/': the layout {} has no folders", shown(folder.string()), layout),
       "take --layout lhotse_cut (Shar) or nemo_manifest (tarred manifests), or name a file");
}

}  // namespace antiphon::apps
