#include <ATen/ATen.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <antiphon/weights/export.h>
#include <antiphon/weights/load.h>

#include <filesystem>
#include <set>

#include <common/temporary_folder.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

void names_both_ways(Module& module, const NameMap& map) {
  std::set<std::string> seen;
  for (const auto& parameter : module.parameters()) {
    const auto name = map.to_checkpoint(parameter.name);
    expect(name.has_value(), "expected a checkpoint name for the parameter '{}', got none", parameter.name);
    expect(seen.insert(*name).second, "expected a checkpoint name for each parameter, got '{}' for two", *name);
    const auto back = map.to_parameter(*name);
    expect(back == parameter.name, "expected '{}' -> '{}' -> the same parameter, got '{}'", parameter.name, *name,
           back.value_or("none"));
    expect(!map.ignores(*name), "expected '{}' to be used, but the map ignores it", *name);
  }
}

void reads_back(const MakeNetwork& make, const NameMap& map) {
  const auto written = started(make, 21), read = make();
  const TemporaryFolder folder("conformance");
  weights::save_pretrained(folder.path(), *written.module, map, nlohmann::json::object());
  const auto load = weights::load_parameters(*read.module, weights::Checkpoint(folder.path()), map);
  const auto a = written.module->parameters(), b = read.module->parameters();
  expect(load.applied == static_cast<int64_t>(a.size()), "expected {} tensors applied, got {}", a.size(), load.applied);
  for (size_t i = 0; i < a.size(); ++i)
    expect(at::equal(*a[i].tensor, *b[i].tensor), "expected '{}' back as it was written", a[i].name);
}

}  // namespace

void check_name_map(Report& report, const MakeNetwork& make, const NameMap& map) {
  report.check("name map: every parameter has one checkpoint name, and back",
               [&] { names_both_ways(*make().module, map); });
  report.check("name map: a written checkpoint reads back bitwise", [&] { reads_back(make, map); });
}

}  // namespace antiphon::apps::conformance
