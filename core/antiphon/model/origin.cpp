#include <antiphon/model/origin.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/config/path.h>
#include <antiphon/config/text.h>
#include <antiphon/model/model_spec.h>

#include <set>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;

struct Slot {
  std::string plugin, weights, part;
};

constexpr size_t kLongestChain = 16;

config::Value run_config(const fs::path& run) { return config::load_toml(run / "config.toml"); }

config::Value checked_slot(const Slot& source, const std::string& section) {
  const auto root = run_config(source.weights);
  const auto* slot = config::at_path(root, section);
  if (!slot)
    fail(ErrorKind::config, fmt::format("the run {} has no [{}] to take weights from", source.weights, section),
         "name a run of a composition that has this slot, or the weights themselves");
  if (const auto plugin = config::text_at(*slot, "plugin"); plugin != source.plugin)
    fail(ErrorKind::config,
         fmt::format("[{}] is a '{}' here and a '{}' in the run {}", section, source.plugin, plugin, source.weights),
         "use the same plugin, or leave `weights` out to start anew");
  if (!source.part.empty())
    fail(ErrorKind::config, fmt::format("[{}] has `part` beside the run {}", section, source.weights),
         "leave `part` out: a run gives the slot of the same name");
  return *slot;
}

Origin follow(const Slot& source, const std::string& section, size_t depth) {
  if (!is_run(source.weights)) return {source.weights, source.part, {}};
  if (depth == kLongestChain)
    fail(ErrorKind::weights, fmt::format("[{}]: runs take their weights from each other: {}", section, source.weights),
         "name the weights themselves");
  const auto slot = checked_slot(source, section);
  auto origin =
      follow({source.plugin, config::text_at(slot, "weights"), config::text_at(slot, "part")}, section, depth + 1);
  origin.runs.insert(origin.runs.begin(), source.weights);
  return origin;
}

}  // namespace

bool is_run(const fs::path& folder) {
  std::error_code error;
  return !folder.empty() && fs::is_regular_file(folder / "config.toml", error);
}

Origin origin_of(const std::string& plugin, const std::string& weights, const std::string& part,
                 const std::string& section) {
  return follow({plugin, weights, part}, section, 0);
}

std::vector<TrainedPart> trained_parts(const Origin& origin, const std::string& path) {
  std::vector<TrainedPart> all;
  for (const auto& run : origin.runs) {
    const auto newest = checkpoint::latest_checkpoint(fs::path(run) / "checkpoints");
    if (!newest)
      fail(ErrorKind::weights, fmt::format("the run {} has no complete checkpoint to take [model.{}] from", run, path),
           fmt::format("train it first: `antiphon train {}/config.toml --resume`", run));
    auto values = checkpoint::parameters_of(*newest, path + "/");
    if (!values.names().empty()) all.push_back({std::move(values), run});
  }
  if (all.empty() && !origin.runs.empty() && origin.weights.empty())
    fail(ErrorKind::weights,
         fmt::format("the run {} did not train [model.{}] and took no weights for it", origin.runs.front(), path),
         "leave `weights` of this slot out");
  return all;
}

std::vector<std::string> other_options(const Origin& origin, const std::string& section, const config::Value& options) {
  std::vector<std::string> different;
  const auto* own = options.get_if<config::Value::Table>();
  if (origin.runs.empty() || !own) return different;
  const auto root = run_config(origin.runs.front());
  const auto* slot = config::at_path(root, section);
  for (const auto& [key, value] : *own) {
    const auto* theirs = slot ? slot->find(key) : nullptr;
    if (theirs && !config::same(*theirs, value))
      different.push_back(fmt::format("{} = {} ({} in {})", key, config::in_words(value), config::in_words(*theirs),
                                      origin.runs.front()));
  }
  return different;
}

std::string tokenizer_folder(const LanguageModelSpec& llm) {
  if (!llm.tokenizer.empty() || !is_run(llm.weights)) return llm.tokenizer.empty() ? llm.weights : llm.tokenizer;
  const auto root = run_config(llm.weights);
  const auto* slot = config::at_path(root, "model.llm");
  if (!slot) return "";
  LanguageModelSpec theirs;
  theirs.weights = config::text_at(*slot, "weights"), theirs.tokenizer = config::text_at(*slot, "tokenizer");
  return tokenizer_folder(theirs);
}

}  // namespace antiphon::model
