#include <common/run_config.h>

#include <antiphon/base/error.h>

namespace antiphon::apps {
namespace {

const config::Table<graph::ComponentSpec>& loss_slot() {
  using S = graph::ComponentSpec;
  static const auto* table = new config::Table<S>(config::Table<S>("loss").field("plugin", &S::plugin, "name of the component, see `antiphon inspect`").rest(&S::options));
  return *table;
}

}  // namespace

const config::Table<RunConfig>& run_table() {
  using C = RunConfig;
  static const auto* table = new config::Table<C>(config::Table<C>("configuration")
                                                      .table("model", &C::model, graph::model_table(), "what is composed", {.required = true})
                                                      .table("data", &C::data, data::data_table(), "what it reads")
                                                      .table("loss", &C::loss, loss_slot(), "what is minimised")
                                                      .table("train", &C::train, train::train_table(), "how it is trained")
                                                      .table("precision", &C::precision, train::precision_table(), "number formats")
                                                      .table("generate", &C::generate, infer::generate_table(), "how answers are written")
                                                      .table("eval", &C::eval, infer::eval_table(), "how it is evaluated"));
  return *table;
}

RunConfig read_config(const std::filesystem::path& file_or_run, const std::vector<std::string>& sets) {
  auto file = file_or_run;
  if (std::filesystem::is_directory(file)) file /= "config.toml";
  auto root = config::load_toml(file);
  for (const auto& assignment : sets) config::apply_set(root, assignment);
  config::Problems problems;
  RunConfig config;
  run_table().read(&config, root, "", problems);
  problems.throw_if_any();
  return config;
}

}  // namespace antiphon::apps
