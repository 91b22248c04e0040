#include <antiphon/weights/export.h>

#include <unordered_map>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/text/template/gguf_template.h>
#include <antiphon/text/tokenizer/gguf_tokenizer.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/name_report.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::weights {

NamedTensors checkpoint_tensors(Module& module, const NameMap& map) {
  NamedTensors tensors;
  ExportReport report;
  std::unordered_map<std::string, std::string> owner;
  const auto parameters = module.parameters();
  for (const auto& parameter : parameters) {
    const auto name = map.to_checkpoint(parameter.name);
    if (!name) {
      report.unnamed.push_back(parameter.name);
    } else if (const auto [place, fresh] = owner.emplace(*name, parameter.name); !fresh) {
      report.doubled.push_back(fmt::format("{}: from '{}' and '{}'", *name, place->second, parameter.name));
    } else if (parameter.tensor->is_meta()) {
      report.empty_ones.push_back(parameter.name);
    } else {
      tensors.emplace_back(*name, *parameter.tensor);
    }
  }
  if (tensors.size() != parameters.size())
    fail_export(report, fmt::format("{} of {} parameters can be saved", tensors.size(), parameters.size()));
  return tensors;
}

void save_pretrained(const std::filesystem::path& folder, Module& module, const NameMap& map,
                     const nlohmann::json& config, uint64_t max_shard_bytes) {
  save_checkpoint(folder, stacked(lazy(checkpoint_tensors(module, map)), map), max_shard_bytes);
  write_json(folder / "config.json", config);
}

void copy_files(const std::filesystem::path& from, const std::filesystem::path& folder,
                const std::vector<std::string>& names) {
  for (const auto& name : names)
    if (path_exists(from / name, ErrorKind::weights))
      write_file_atomic(folder / name, read_file(from / name, ErrorKind::weights), ErrorKind::weights);
}

namespace {

// As the files of a directory. SentencePiece's merges are in no tokenizer.json that others read.
void write_gguf_tokenizer(const std::filesystem::path& from, const std::filesystem::path& folder) {
  auto source = text::gguf_tokenizer(from);
  if (source.file["normalizer"].is_object() && source.file["normalizer"]["type"] == "SentencePiece")
    fail(ErrorKind::weights, fmt::format("the tokenizer {} has no tokenizer.json to write", source.name),
         "name a directory with the model's tokenizer files in model.llm.tokenizer");
  text::put_around(source);
  const auto shown = text::gguf_chat_template(from);
  source.config["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (!shown.empty()) source.config["chat_template"] = shown;
  write_json(folder / "tokenizer.json", source.file);
  write_json(folder / "tokenizer_config.json", source.config);
  write_json(folder / "generation_config.json", text::gguf_generation(from));
}

}  // namespace

void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& folder) {
  if (is_gguf(from) && !is_folder(from, ErrorKind::weights)) return write_gguf_tokenizer(from, folder);
  std::vector<std::string> names{"tokenizer.json",
                                 "tokenizer_config.json",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "tokenizer.model",
                                 "vocab.json",
                                 "merges.txt",
                                 "vocab.txt",
                                 "spiece.model",
                                 "generation_config.json",
                                 "sentencepiece.bpe.model",
                                 "tekken.json",
                                 "chat_template.jinja",
                                 "chat_template.json"};
  if (is_folder(from, ErrorKind::weights))
    for (const auto& path : entries_of(from, ErrorKind::weights))
      if (path.extension() == ".tiktoken") names.push_back(path.filename().string());
  copy_files(from, folder, names);
}

}  // namespace antiphon::weights
