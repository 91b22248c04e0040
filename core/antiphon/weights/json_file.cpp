#include <antiphon/weights/json_file.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/json.h>
#include <antiphon/base/paths.h>
#include <antiphon/weights/gguf_checkpoint.h>
#include <antiphon/weights/nemo.h>

namespace antiphon::weights {
namespace {
constexpr uint64_t max_file_bytes = 100'000'000;
}

nlohmann::json read_json_object(const std::filesystem::path& path) {
  auto value = parse_json(read_file(path, ErrorKind::weights, max_file_bytes),
                          {path.string(), ErrorKind::weights, "the file is damaged: fetch it again, or mend it there",
                           /*unique_keys=*/true});
  if (!value.is_object())
    fail(ErrorKind::weights, path.string() + ":1:1: expected a JSON object",
         "the file is damaged: fetch it again, or mend it there");
  return value;
}

JsonTable read_json_table(const std::filesystem::path& path) {
  const auto holder = path.parent_path();
  if (is_gguf(holder) && !is_folder(holder, ErrorKind::weights))
    return path.filename() == "config.json" ? JsonTable(gguf_config(holder), holder.string()) : JsonTable();
  if (is_nemo(holder) && !is_folder(holder, ErrorKind::weights)) {
    if (path.filename() == "config.json") return JsonTable(nemo_config(holder), holder.string());
    if (path.filename() == "preprocessor_config.json")
      return JsonTable(nemo_preprocessor_config(holder), holder.string());
    return {};
  }
  return path_exists(path, ErrorKind::weights) ? JsonTable(read_json_object(path), path.string()) : JsonTable();
}

void write_json(const std::filesystem::path& path, const nlohmann::json& value) {
  write_file_atomic(path, value.dump(2) + "\n", ErrorKind::weights);
}

}  // namespace antiphon::weights
