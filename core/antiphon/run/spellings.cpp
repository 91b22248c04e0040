#include <antiphon/run/spellings.h>

namespace antiphon::run {
namespace {

void add_weights(std::vector<std::filesystem::path>& folders, const config::Value& slot) {
  const auto* weights = slot.find("weights");
  if (const auto* path = weights ? weights->get_if<std::string>() : nullptr; path && !path->empty())
    folders.emplace_back(*path);
}

}  // namespace

text::Spellings read_spellings(const RunConfig& config) {
  std::vector<std::filesystem::path> folders;
  if (!config.model.llm.weights.empty()) folders.emplace_back(config.model.llm.weights);
  for (const auto& [name, stream] : config.model.streams) {
    if (const auto* several = stream.encoder.get_if<config::Value::Array>())
      for (const auto& encoder : *several) add_weights(folders, encoder);
    else
      add_weights(folders, stream.encoder);
  }
  return eval::read_spellings(config.eval, folders);
}

}  // namespace antiphon::run
