#include <antiphon/config/example_test.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::config;
using namespace antiphon::config::example;

TEST_CASE("every kind of member is read") {
  Problems problems;
  const Run run = run_table().parse(parse_toml(R"(
name = "x"
[model]
graph = "dual_encoder"
hidden_size = 64
dropout = 0
seed = 3
weights = "w"
sizes = [1, 2]
betas = [0, 0.5]
flags = [true, false]
extra = { a = [1] }
peft = [{ plugin = "lora", rank = 16 }]
[model.streams.image]
plugin = "siglip"
layer = -2
[model.eval]
every = 5
)",
                                               "f"),
                                    "", problems);
  problems.throw_if_any();
  CHECK(run.model.graph == "dual_encoder");
  CHECK(run.model.hidden_size == 64);
  CHECK(run.model.layers == 12);
  CHECK(run.model.dropout == 0.0);
  CHECK(run.model.seed == 3);
  CHECK(run.model.weights == "w");
  CHECK(run.model.sizes == std::vector<int64_t>{1, 2});
  CHECK(run.model.betas == std::vector<double>{0, 0.5});
  CHECK(run.model.flags == std::vector<bool>{true, false});
  CHECK(same(run.model.extra, parse_toml("a = [1]", "")));
  REQUIRE(run.model.peft.size() == 1);
  CHECK(run.model.peft[0].rank == 16);
  CHECK(run.model.peft[0].targets == std::vector<std::string>{"q_proj"});
  CHECK(run.model.streams.at("image").plugin == "siglip");
  CHECK(same(run.model.streams.at("image").options, parse_toml("layer = -2", "")));
  CHECK(run.model.streams.at("image").options.find("layer")->where.str() == "f:16:1");
  CHECK(run.model.eval->every == 5);

  // What is dumped reads back to the same.
  const Value dumped = run_table().dump(&run);
  const Run again = run_table().parse(parse_toml(to_toml(dumped), "dump"), "", problems);
  problems.throw_if_any();
  CHECK(same(run_table().dump(&again), dumped));
}

TEST_CASE("problems of one kind keep it, others make an error of the configuration") {
  const auto kind_of = [](ErrorKind first, ErrorKind second) {
    Problems problems;
    problems.add({}, "a", "", first);
    problems.add({}, "b", "", second);
    try {
      problems.throw_if_any();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::internal;
  };
  CHECK(kind_of(ErrorKind::plugin, ErrorKind::plugin) == ErrorKind::plugin);
  CHECK(kind_of(ErrorKind::plugin, ErrorKind::weights) == ErrorKind::config);
  CHECK(kind_of(ErrorKind::config, ErrorKind::config) == ErrorKind::config);
}

TEST_CASE("defaults lack what is required and what is unset") {
  const Value defaults = run_table().defaults();
  CHECK(defaults.find("name") == nullptr);
  const Value* model = defaults.find("model");
  REQUIRE(model);
  CHECK(model->find("seed") == nullptr);
  CHECK(model->find("eval") == nullptr);
  CHECK(same(*model->find("hidden_size"), Value(768)));
}

TEST_CASE("describe holds the table") {
  CHECK(to_json(peft_table().describe(), -1) ==
        R"([{"doc":"which method","key":"plugin","required":true,"type":"string"},)"
        R"({"default":8,"doc":"rank of the update","key":"rank","max":4096,"min":1,"type":"integer"},)"
        R"({"default":["q_proj"],"doc":"site names","key":"targets","type":"list of string"}])");
  const Value described = run_table().describe();
  const Value& model = (*described.get_if<Value::Array>())[0];
  CHECK(model.find("fields")->get_if<Value::Array>()->size() == model_table().fields().size());
}

TEST_CASE("a table that declares a key twice is a mistake of the programmer") {
  CHECK_THROWS_AS(Table<Eval>("t").field("every", &Eval::every, "").field("every", &Eval::every, ""), Error);
}
