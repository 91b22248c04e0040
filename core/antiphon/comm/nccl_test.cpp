#include <antiphon/comm/nccl_table.h>

#include <ATen/ATen.h>

#include <antiphon/comm/test_group.h>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace antiphon::comm;
using testing::my_place;
using testing::run_group;
using testing::test_device;

namespace {

std::filesystem::path record_of(const std::string& rank) {
  return std::filesystem::temp_directory_path() / ("late_exchange_" + rank + ".json");
}

}  // namespace

// Of the process that is late as well as of the one that waits for it.
TEST_CASE("an exchange that is late ends the process, and leaves a record of what was under way") {
  if (test_device().is_cpu()) SKIP("no GPU is asked for by ANTIPHON_TEST_DEVICE");
  std::filesystem::remove(record_of("0"));
  CHECK(run_group(2, "member waits in vain") >= 1);
  std::stringstream text;
  text << std::ifstream(record_of("0")).rdbuf();
  CHECK(text.str().find("all_reduce") != std::string::npos);
  std::filesystem::remove(record_of("0")), std::filesystem::remove(record_of("1"));
}

TEST_CASE("member waits in vain", "[.]") {
  auto place = my_place();
  place.timeout = std::chrono::seconds(5);
  nccl_table().record_into(record_of(std::to_string(place.rank)).string());
  Group group(place, test_device());
  const auto x = at::ones({4}, test_device());
  group.sum(x);
  CHECK(x.sum().item<float>() == 8);
  if (group.rank() == 1) {
    sleep(30);
    return;
  }
  group.sum(x);
  CHECK(x.sum().item<float>() == 0);  // does not come to this: the device waits until the process is ended
}
