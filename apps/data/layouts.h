// Samples as records of the layouts that other programs read (docs/data.md, "Looking at it").
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>
#include <nlohmann/json.hpp>

namespace antiphon::apps {

// How the record calls medium `index` of the sample.
using MediaName = std::function<std::string(size_t index)>;

// Error(data) for what the layout cannot hold.
struct Layout {
  std::string name;
  nlohmann::ordered_json (*write)(const Sample& sample, const MediaName& name_of);
};
// messages; conversations, as LLaVA and ShareGPT have it; alpaca; captioned, as Energon has questions about media;
// interleaved, as OBELICS has documents; nemo_manifest.
const std::vector<Layout>& layouts();

}  // namespace antiphon::apps
