// Samples as records of the layouts that other programs read (docs/data.md, "Looking at it").
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>
#include <nlohmann/json.hpp>

namespace antiphon::data {

// How the record calls medium `index` of the sample.
using MediaName = std::function<std::string(size_t index)>;

// What a record is written into.
struct Target {
  MediaName name_of;
  bool table = false;  // each key has values of one type in all records
};

struct Layout {
  std::string name;
  // Error(data) for what the layout cannot hold.
  std::function<nlohmann::ordered_json(const Sample& sample, const Target& target)> write;
  // Sets what the layout says of every sample and the sample itself leaves open. Error(data) if it cannot be found out.
  std::function<void(Sample& sample)> complete = [](Sample&) {};
  bool lines_only = false;
};
// messages; conversations, as LLaVA and ShareGPT have it; alpaca; captioned, as Energon has questions about media;
// interleaved, as OBELICS has documents; nemo_manifest; lhotse_cut; preference, as TRL has pairs.
const std::vector<Layout>& layouts();

}  // namespace antiphon::data
