#include <antiphon/component/name_map.h>

#include <catch2/catch_test_macros.hpp>

using antiphon::NameMap;

TEST_CASE("a name map works in both directions and writes the first spelling") {
  const NameMap map{{{"encoder.layer.{}.attention.attention.query.{}", "layers.{}.q_proj.{}"},
                     {"encoder.layer.{}.attention.q_proj.{}", "layers.{}.q_proj.{}"},
                     {"layernorm.{}", "norm.{}"}},
                    {"decoder.*"}};
  CHECK(map.to_parameter("encoder.layer.11.attention.attention.query.bias") == "layers.11.q_proj.bias");
  CHECK(map.to_parameter("encoder.layer.0.attention.q_proj.weight") == "layers.0.q_proj.weight");
  CHECK(map.to_checkpoint("layers.3.q_proj.weight") == "encoder.layer.3.attention.attention.query.weight");
  CHECK_FALSE(map.to_parameter("encoder.layer.0.mlp.weight"));
  CHECK_FALSE(map.to_checkpoint("unknown.weight"));
  CHECK(map.ignores("decoder.layers.0.weight"));
  CHECK_FALSE(map.ignores("encoder.decoder"));
}

TEST_CASE("within a whole model's checkpoint the names of other parts are not used") {
  const NameMap map{{{"layers.{}.q.{}", "blocks.{}.q.{}"}, {"vision_model.layers.{}.q.{}", "blocks.{}.q.{}"}},
                    {"head.*"},
                    {{"tower.{}", "{}"}, {"model.tower.{}", "{}"}}};
  for (const auto* name :
       {"tower.layers.3.q.weight", "model.tower.layers.3.q.weight", "tower.vision_model.layers.3.q.weight"}) {
    CHECK(map.to_parameter(name) == "blocks.3.q.weight");
    CHECK_FALSE(map.ignores(name));
  }
  CHECK(map.to_checkpoint("blocks.3.q.weight") == "tower.layers.3.q.weight");
  CHECK(map.ignores("tower.head.weight"));
  CHECK(map.ignores("language_model.layers.3.q.weight"));
  CHECK(map.ignores("layers.3.q.weight"));
  CHECK_FALSE(map.to_parameter("layers.3.q.weight"));
  CHECK_FALSE(map.ignores("tower.unknown"));
  CHECK_FALSE(map.to_parameter("tower.unknown"));
}
