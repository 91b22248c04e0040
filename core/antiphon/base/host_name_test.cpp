#include <antiphon/base/host_name.h>

#include <catch2/catch_test_macros.hpp>

#include <fstream>

TEST_CASE("host name: the kernel's") {
  std::string name;
  std::ifstream("/proc/sys/kernel/hostname") >> name;
  CHECK(antiphon::host_name() == name);
}
