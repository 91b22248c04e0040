#include <inspect/files.h>

#include <fmt/format.h>
#include <algorithm>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/text/template/chat_template.h>
#include <antiphon/text/tokenizer/tokenizer.h>
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/gguf_checkpoint.h>
#include <antiphon/weights/load.h>

namespace antiphon::apps {
namespace {

template <class Read>
std::string told(const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    return fmt::format("none ({})", error.what());
  }
}

std::string tensors_of(const std::filesystem::path& path) {
  const weights::Checkpoint checkpoint(path);
  const auto bytes = human_count(static_cast<double>(checkpoint.total_bytes()));
  if (is_gguf(path)) return fmt::format("{}, {}B when loaded", weights::gguf_summary(path), bytes);
  return fmt::format("{} tensors, {}B", checkpoint.names().size(), bytes);
}

}  // namespace

bool is_model_place(const std::string& name) {
  return (is_gguf(name) && path_exists(name, ErrorKind::config)) || is_folder(name, ErrorKind::config);
}

int show_model_place(const std::filesystem::path& path, bool json) {
  const std::pair<const char*, std::string> facts[] = {
      {"model", told([&] {
         const auto pretrained = weights::read_pretrained_config(path);
         if (pretrained.empty()) fail(ErrorKind::weights, "no config.json");
         return pretrained.config.text("model_type", "");
       })},
      {"tensors", told([&] { return tensors_of(path); })},
      {"tokenizer", told([&] { return text::Tokenizer::load(path).summary(); })},
      {"chat template", told([&] {
         const auto tokenizer = text::Tokenizer::load(path);
         return fmt::format("{} characters",
                            text::ChatTemplate::load(path, tokenizer.special_tokens()).source().size());
       })}};
  auto all = nlohmann::ordered_json::object();
  for (const auto& [name, fact] : facts) {
    all[name] = fact;
    if (!json) fmt::print("{}: {}\n", name, fact);
  }
  if (json) fmt::print("{}\n", all.dump());
  const auto nothing = [](const auto& fact) { return fact.second.starts_with("none ("); };
  if (std::all_of(std::begin(facts), std::end(facts), nothing))
    fail(ErrorKind::weights, fmt::format("{} holds no model", path.string()),
         "name a Hugging Face directory or a .gguf file, or a plugin: `antiphon inspect` lists those");
  return 0;
}

}  // namespace antiphon::apps
