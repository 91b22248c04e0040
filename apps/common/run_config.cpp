#include <common/run_config.h>

#include <antiphon/graph/whole_model.h>

#include <fmt/format.h>

#include <antiphon/base/fail_lines.h>

namespace antiphon::apps {
namespace {

const config::Table<graph::ComponentSpec>& loss_slot() {
  using S = graph::ComponentSpec;
  static const auto* table =
      new config::Table<S>(config::Table<S>("loss")
                               .field("plugin", &S::plugin, "name of the component, see `antiphon inspect`")
                               .rest(&S::options));
  return *table;
}

std::filesystem::path config_file(const std::filesystem::path& file_or_run) {
  const std::string fix = "name a TOML file, or the folder of a run of `antiphon train`";
  if (!std::filesystem::exists(file_or_run))
    fail(ErrorKind::config, fmt::format("there is no file {}", file_or_run.string()), fix);
  if (!std::filesystem::is_directory(file_or_run)) return file_or_run;
  if (!std::filesystem::exists(file_or_run / "config.toml"))
    fail(ErrorKind::config, fmt::format("the folder {} holds no config.toml", file_or_run.string()), fix);
  return file_or_run / "config.toml";
}

// A file of configs/models that holds a stream only is no mistake, but it cannot be run by itself.
void throw_problems(const config::Problems& problems, const config::Value& root) {
  const auto* model = root.find("model");
  const bool fragment = !model || !model->find("llm");
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    if (!fragment) throw;
    fail_lines(error.kind(), lines_of(error),
               "a file without [model.llm] is a part: name a file that `extends` it and has one");
  }
}

}  // namespace

const config::Table<RunConfig>& run_table() {
  using C = RunConfig;
  static const auto* table =
      new config::Table<C>(config::Table<C>("configuration")
                               .table("model", &C::model, graph::model_table(), "what is composed", {.required = true})
                               .table("data", &C::data, data::data_table(), "what it reads")
                               .table("loss", &C::loss, loss_slot(), "what is minimised")
                               .table("train", &C::train, train::train_table(), "how it is trained")
                               .table("precision", &C::precision, train::precision_table(), "number formats")
                               .table("generate", &C::generate, infer::generate_table(), "how answers are written")
                               .table("eval", &C::eval, infer::eval_table(), "how it is evaluated")
                               .table("session", &C::session, infer::session_table(), "how a session takes turns"));
  return *table;
}

RunConfig read_config(const std::filesystem::path& file_or_run, const std::vector<std::string>& sets) {
  auto root = config::load_toml(config_file(file_or_run));
  for (const auto& assignment : sets) config::apply_set(root, assignment);
  if (auto* table = root.get_if<config::Value::Table>(); table && table->contains("model"))
    graph::expand_from(table->at("model"));
  config::Problems problems;
  RunConfig config;
  run_table().read(&config, root, "", problems);
  throw_problems(problems, root);
  return config;
}

}  // namespace antiphon::apps
