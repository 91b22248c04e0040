#include <antiphon/base/sample_time.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <thread>

using namespace antiphon;

TEST_CASE("sample time: over, it is a fault of the data, on its thread, and the outer one holds") {
  const auto told = [] {
    try {
      SampleTime::check();
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return error.message();
    }
    return std::string();
  };
  CHECK(told().empty());
  {
    const SampleTime over(std::chrono::milliseconds(0)), longer;
    CHECK(told() == "preparing the sample took longer than the 0 s that one sample may take");
    std::string elsewhere = "unset";
    std::thread([&] { elsewhere = told(); }).join();
    CHECK(elsewhere.empty());
  }
  CHECK(told().empty());
  const SampleTime time, over(std::chrono::milliseconds(0));
  CHECK(told().empty());
}
