#include <data/record_writer.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <data/writers.h>

namespace antiphon::apps {

std::unique_ptr<RecordWriter> make_writer(const std::string& name, const std::string& layout, int64_t shard_samples) {
  const std::filesystem::path out(name);
  if (name.ends_with('/')) return make_folder_writer(out.parent_path(), layout, shard_samples);
  if (out.extension() == ".tar") return make_archive_writer(out, shard_samples);
  if (shard_samples > 0) fail(ErrorKind::config, "--shard-samples is for archives", "name a .tar, or a folder OUT/");
  if (out.extension() == ".jsonl" || out.extension() == ".json")
    return make_line_writer(out, out.extension() == ".json");
  if (auto table = make_table_writer(out)) return table;
  fail(ErrorKind::config, fmt::format("'{}' says no form that is written", shown(out.string())),
       "name a .jsonl file or a .json list (media beside them), a .tar (WebDataset), a folder OUT/ (Shar of the layout "
       "lhotse_cut, NeMo's tarred manifests of nemo_manifest), or a .parquet table, if the plugin parquet is built");
}

}  // namespace antiphon::apps
