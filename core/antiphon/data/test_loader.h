// For tests of the loader: a model of a few lines, files of records, and what comes out.
#pragma once
#include <antiphon/base/log.h>
#include <antiphon/data/loader.h>
#include <antiphon/data/test_prompts.h>
#include <antiphon/model/test_model.h>
#include <antiphon/weights/test_folder.h>

#include <optional>

namespace antiphon::data::testing {

using weights::TestFolder;

inline std::vector<std::string> ids_of(const model::Batch& batch) {
  std::vector<std::string> ids;
  for (const auto& sequence : batch.sequences) ids.push_back(sequence.id);
  return ids;
}

inline const bool quiet_loaders = (log::set_level(log::Level::error), true);

inline std::string line(const std::string& id, const std::string& question, const std::string& answer = "yes") {
  return R"({"id": ")" + id + R"(", "messages": [{"role": "user", "content": ")" + question +
         R"("}, {"role": "assistant", "content": ")" + answer + "\"}]}\n";
}

inline std::string image_line(const std::string& id, const std::string& path) {
  return R"({"id": ")" + id + R"(", "messages": [{"role": "user", "content": [{"type": "image", "image": ")" + path +
         R"("}]}, {"role": "assistant", "content": "yes"}]})" + "\n";
}

inline std::string sound_line(const std::string& id, const std::string& path, const std::string& answer = "yes") {
  return R"({"id": ")" + id + R"(", "messages": [{"role": "user", "content": [{"type": "audio", "audio": ")" + path +
         R"("}]}, {"role": "assistant", "content": ")" + answer + "\"}]}\n";
}

// n samples of lengths that differ.
inline std::string lines(const std::string& name, int n) {
  std::string out;
  for (int i = 0; i < n; ++i)
    out += line(name + std::to_string(i), std::string(static_cast<size_t>(1 + i * 7 % 23), 'z'));
  return out;
}

struct Setup {
  explicit Setup(const std::string& toml = model::testing::kTwoStreams, const AugmentOptions& augment = {})
      : model(model::testing::test_model(toml)),
        prompts(testing::tiny_prompts()),
        cache("", {}),
        augmenter(augment, *model),
        preparer(*model, prompts, cache, {}, 200, {}, {}, {}, &augmenter) {}

  DataOptions options(const std::vector<std::pair<std::string, double>>& sources) {
    DataOptions o;
    for (const auto& [content, weight] : sources) {
      const auto name = "set" + std::to_string(o.train.sources.size()) + ".jsonl";
      folder.write(name, content);
      o.train.sources.push_back({(folder / name).string(), weight});
    }
    return o;
  }

  std::unique_ptr<Loader> loader(const DataOptions& o, int64_t budget = 128, uint64_t seed = 1,
                                 const RowShare& share = {}) {
    return std::make_unique<Loader>(
        o, preparer, budget, seed, [this](const BadSample& bad) { listed.push_back(bad); }, 1, share);
  }

  TestFolder folder;
  std::unique_ptr<model::MultimodalLm> model;
  text::PromptBuilder prompts;
  FeatureCache cache;
  Augmenter augmenter;
  Preparer preparer;
  std::vector<BadSample> listed;
};

using Ids = std::vector<std::vector<std::string>>;

inline Ids batches(Loader& loader, int n) {
  Ids out;
  for (int i = 0; i < n; ++i) out.push_back(ids_of(loader.next_batch()));
  return out;
}

template <class Body>
std::optional<Error> failure(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace antiphon::data::testing
