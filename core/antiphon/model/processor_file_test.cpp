#include <antiphon/model/processor_file.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

void check(const json& processor, const json& config) {
  model::check_processor_file(JsonTable(processor, "processor_config.json"), JsonTable(config));
}

}  // namespace

TEST_CASE("a processor's file must say of patches what config.json says") {
  const json config{{"vision_config", {{"patch_size", 14}}}, {"vision_feature_select_strategy", "full"}};
  CHECK_NOTHROW(check({{"patch_size", 14}, {"vision_feature_select_strategy", "full"}}, config));
  CHECK_NOTHROW(check({{"patch_size", nullptr}, {"image_token", "<image>"}}, config));
  CHECK_NOTHROW(check({{"patch_size", 7}}, json::object()));
  CHECK_THROWS_WITH(check({{"patch_size", 7}}, config),
                    ContainsSubstring("processor_config.json: patch_size is 7; expected 14"));
  CHECK_THROWS_WITH(check({{"vision_feature_select_strategy", "default"}}, config),
                    ContainsSubstring("expected \"full\""));
  CHECK_NOTHROW(model::check_processor_file(JsonTable(), JsonTable()));
}
