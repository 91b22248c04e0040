// Tar archives of samples: members with one name and different extensions, one after the other. Sources: WebDataset,
// README.md ("The WebDataset Format") and webdataset/tariterators.py (base_plus_ext, group_by_keys).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "energon.h"
#include "metadataset.h"
#include "samples.h"

namespace antiphon::webdataset {
namespace {

struct WebdatasetOptions {
  std::string part = "train", damaged = "refuse";
  std::vector<std::string> ignore;
};

const config::Table<WebdatasetOptions>& webdataset_table() {
  using O = WebdatasetOptions;
  static const auto* table =
      new config::Table<O>(config::Table<O>("webdataset")
                               .field("part", &O::part, "which part of a folder that Energon has prepared")
                               .field("damaged", &O::damaged,
                                      "what becomes of an archive that is cut short or damaged: refuse all, or skip "
                                      "its rest and say so",
                                      {.choices = {"refuse", "skip"}})
                               .field("ignore", &O::ignore, "extensions of members that are passed over: pkl, npy"));
  return *table;
}

bool is_yaml(const std::filesystem::path& path) { return path.extension() == ".yaml" || path.extension() == ".yml"; }

bool is_packed(const std::string& name) {
  return name.ends_with(".tar.gz") || name.ends_with(".tgz") || name.ends_with(".tar.zst") || name.ends_with(".tar.xz");
}

}  // namespace

class Webdataset : public DataSource {
 public:
  explicit Webdataset(const WebdatasetOptions& options)
      : part_(options.part),
        ignore_(options.ignore.begin(), options.ignore.end()),
        skips_damaged_(options.damaged == "skip") {}

  bool recognises(const FileStart& start) const override {
    const auto name = start.path.string();
    if (is_metadataset(start)) return true;
    if (records::is_pattern(start.path)) return name.ends_with(".tar") || is_packed(name);
    return records::begins_tar(start.bytes) || (is_packed(name) && !start.bytes.empty()) || is_prepared(start.path);
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    if (is_yaml(path)) refuse_metadataset(path, part_);
    if (is_packed(path.string()))
      fail(ErrorKind::data, shown(path.string()) + " is compressed, and samples are drawn in any order",
           "unpack it to a .tar: media are compressed already");
    if (!is_prepared(path))
      return std::make_unique<Samples>(records::files_of(path), Reading{ignore_, {}, skips_damaged_});
    auto prepared = read_prepared(path, part_);
    return std::make_unique<Samples>(std::move(prepared.shards),
                                     Reading{ignore_, std::move(prepared.fields), skips_damaged_});
  }

 private:
  std::string part_;
  std::set<std::string> ignore_;
  bool skips_damaged_;
};

}  // namespace antiphon::webdataset

ANTIPHON_PLUGIN(webdataset, "0.1.0") {
  using namespace antiphon::webdataset;
  antiphon::register_component<antiphon::DataSource, Webdataset>(
      registrar, "webdataset", "tar archives whose members of one name are a record, as WebDataset has them",
      webdataset_table());
}
