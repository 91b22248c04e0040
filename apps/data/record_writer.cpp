#include <data/record_writer.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <data/writers.h>

namespace antiphon::apps {

std::unique_ptr<RecordWriter> make_writer(const std::filesystem::path& out, int64_t shard_samples) {
  if (out.extension() == ".tar") return make_archive_writer(out, shard_samples);
  if (shard_samples > 0) fail(ErrorKind::config, "--shard-samples is for archives", "name a .tar");
  if (out.extension() == ".jsonl" || out.extension() == ".json")
    return make_line_writer(out, out.extension() == ".json");
  if (auto table = make_table_writer(out)) return table;
  fail(
      ErrorKind::config, fmt::format("'{}' says no form that is written", shown(out.string())),
      "name a .jsonl file or a .json list (media beside them), a .tar (WebDataset), or a .parquet table, if the plugin "
      "parquet is built");
}

}  // namespace antiphon::apps
