#include <antiphon/base/trace.h>

#include <nlohmann/json.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

using namespace antiphon;

namespace {

void sleep_ms(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

trace::Total total(const std::string& name) {
  trace::Total sum;
  for (const auto& total : trace::totals())
    if (total.name == name) sum = total;
  return sum;
}

std::vector<nlohmann::json> events(const std::string& phase) {
  std::vector<nlohmann::json> found;
  const auto trace = nlohmann::json::parse(trace::chrome_json());
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("ph") == phase) found.push_back(event);
  return found;
}

}  // namespace

TEST_CASE("trace: nothing is recorded while it is off") {
  trace::start();
  trace::stop();
  {
    TraceScope scope("a");
    trace::add_flops(5);
  }
  CHECK_FALSE(trace::on());
  CHECK(trace::totals().empty());
  CHECK(events("X").empty());
}

TEST_CASE("trace: what a scope holds is not its own") {
  trace::start();
  {
    TraceScope outer("outer");
    trace::add_flops(1);
    sleep_ms(5);
    for (int i = 0; i < 3; ++i) {
      TraceScope inner("in", "ner");
      trace::add_flops(10);
      sleep_ms(10);
    }
    TraceScope unwanted("unwanted", {}, false);
    trace::add_flops(2);
  }
  trace::stop();
  CHECK(total("outer").calls == 1);
  CHECK(total("inner").calls == 3);
  CHECK(total("unwanted").calls == 0);
  CHECK(total("outer").flops == 3);
  CHECK(total("inner").flops == 30);
  CHECK(total("inner").seconds >= 0.03);
  CHECK(total("outer").seconds >= 0.005);
  CHECK(total("outer").seconds < total("inner").seconds);
  const auto recorded = events("X");
  REQUIRE(recorded.size() == 4);
  const auto& outer = recorded.back();  // in the order of their ends
  CHECK(outer.at("name") == "outer");
  for (const auto& event : recorded) {
    CHECK(event.at("ts").get<double>() >= outer.at("ts").get<double>());
    CHECK(event.at("ts").get<double>() + event.at("dur").get<double>() <=
          outer.at("ts").get<double>() + outer.at("dur").get<double>() + 0.01);
  }
}

TEST_CASE("trace: parts of a scope are listed, and what they take is the scope's") {
  trace::start();
  {
    TraceScope outer("outer");
    for (size_t i = 0; i < 2; ++i) {
      const auto part = TraceScope::part("block ", i);
      trace::add_flops(10);
      sleep_ms(5);
      TraceScope inner("inner");
      sleep_ms(20);
    }
  }
  trace::stop();
  CHECK(total("outer").flops == 20);
  CHECK(total("outer").seconds >= 0.01);
  CHECK(total("inner").seconds >= 0.04);
  CHECK(total("block 0").calls == 0);
  const double whole = 1e-6 * events("X").back().at("dur").get<double>();
  CHECK(std::abs(total("outer").seconds + total("inner").seconds - whole) < 1e-5);
  std::vector<std::string> names;
  for (const auto& event : events("X")) names.push_back(event.at("name"));
  CHECK(names == std::vector<std::string>{"inner", "block 0", "inner", "block 1", "outer"});
}

TEST_CASE("trace: what is open as the recording begins or ends is left out") {
  std::optional<TraceScope> before(std::in_place, "before");
  trace::start();
  before.reset();
  { TraceScope inside("inside"); }
  TraceScope after("after");
  trace::stop();
  REQUIRE(trace::totals().size() == 1);
  CHECK(trace::totals()[0].name == "inside");
  trace::start();  // `after` belongs to the recording before
  { TraceScope again("again"); }
  trace::stop();
  REQUIRE(trace::totals().size() == 1);
  CHECK(trace::totals()[0].name == "again");
}

TEST_CASE("trace: threads have rows of their own, and keep them when they end") {
  trace::start();
  { TraceScope here("work"); }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      trace::name_thread("loader");
      trace::add_flops(7);  // no scope
      for (int i = 0; i < 1000; ++i) TraceScope scope("work");
    });
  for (auto& thread : threads) thread.join();
  trace::stop();
  int64_t calls = 0, main = 0;
  for (const auto& one : trace::totals()) {
    CHECK(one.main == one.thread.empty());
    (one.main ? main : calls) += one.calls;
  }
  CHECK(calls == 4000);
  CHECK(main == 1);
  CHECK(trace::flops_without_scope() == 28);
  std::map<std::string, int> names;
  for (const auto& event : events("M")) ++names[event.at("args").at("name")];
  CHECK(names == std::map<std::string, int>{{"antiphon", 1}, {"main", 1}, {"loader", 4}});
}

TEST_CASE("trace: starting and stopping while threads work") {
  std::atomic<bool> done{false};
  std::thread worker([&] {
    while (!done) {
      TraceScope outer("outer");
      TraceScope inner("inner");
      trace::add_flops(1);
    }
  });
  for (int i = 0; i < 200; ++i) {
    trace::start();
    trace::totals();
    trace::stop();
    CHECK(nlohmann::json::accept(trace::chrome_json()));
  }
  done = true;
  worker.join();
}

TEST_CASE("trace: any name makes valid JSON") {
  trace::start();
  for (const std::string name : {"\"quotes\" \\ \n\t", "ü 世", "\xff\xfe", ""}) TraceScope scope("encoders/", name);
  trace::stop();
  CHECK(events("X").size() == 4);
  CHECK(events("X")[0].at("name") == "encoders/\"quotes\" \\ \n\t");
}
