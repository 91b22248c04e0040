#include <antiphon/run/run_config.h>

#include <antiphon/model/compose_adapter.h>
#include <antiphon/model/slot.h>
#include <antiphon/model/whole_model.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/fail_lines.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/keys.h>
#include <antiphon/run/stages.h>
#include <antiphon/train/best.h>
#include <antiphon/train/ramp.h>
#include <antiphon/train/recompute.h>
#include <antiphon/train/schedule.h>

namespace antiphon::run {
namespace {

std::filesystem::path config_file(const std::filesystem::path& file_or_run) {
  const std::string fix =
      "name a TOML file, the folder of a run of `antiphon train`, a model's directory, or a .gguf file";
  if (!path_exists(file_or_run, ErrorKind::config))
    fail(ErrorKind::config, fmt::format("there is no file {}", file_or_run.string()), fix);
  if (!is_folder(file_or_run, ErrorKind::config)) return file_or_run;
  if (!path_exists(file_or_run / "config.toml", ErrorKind::config))
    fail(ErrorKind::config, fmt::format("the folder {} holds no config.toml", file_or_run.string()), fix);
  return file_or_run / "config.toml";
}

// A model's directory, or its GGUF file, stands for a file that takes it as it is.
config::Value load_root(const std::filesystem::path& file) {
  using config::Value;
  const bool is_model = is_model_directory(file);
  const auto read = is_model ? file : config_file(file);
  if (!is_model && !is_gguf(read)) return config::load_toml(read);
  return Value::Table{{"model", Value::Table{{"from", read.string()}}}};
}

// `extends` and `stage` are gone when a file has been read, so no table knows them.
void refuse_misspelt_others(config::Value& root, config::Problems& problems) {
  const std::vector<std::string> gone{"extends", "stage"};
  auto known = config::keys_of(run_table());
  known.insert(known.end(), gone.begin(), gone.end());
  std::erase_if(*root.get_if<config::Value::Table>(), [&](const auto& member) {
    const auto near = nearest(member.first, known);
    const bool meant = near != member.first && std::ranges::count(gone, near) > 0;
    if (meant) config::report_unknown(run_table(), gone, member.first, member.second.where, "", problems);
    return meant;
  });
}

// What [loss] said in files and runs from before [objective]: the only loss there was, and how many logits are alive at
// once. A table that says anything else stays, and is refused as an unknown key.
void read_loss_table(config::Value::Table& root, config::Problems& problems) {
  const auto found = root.find("loss");
  const auto* loss = found == root.end() ? nullptr : found->second.get_if<config::Value::Table>();
  if (!loss) return;
  const auto plugin = loss->find("plugin"), chunk = loss->find("chunk");
  const auto* name = plugin == loss->end() ? nullptr : plugin->second.get_if<std::string>();
  if (plugin != loss->end() && (!name || *name != "cross_entropy")) return;
  if (loss->size() != static_cast<size_t>((plugin != loss->end()) + (chunk != loss->end()))) return;
  if (chunk != loss->end()) {
    auto* train = root.try_emplace("train", config::Value::Table{}).first->second.get_if<config::Value::Table>();
    if (!train) return;
    if (!train->try_emplace("logits_chunk", chunk->second).second)
      problems.add(chunk->second.where, "[loss] chunk is the former name of train.logits_chunk, and both are given",
                   "give one of them");
  }
  root.erase("loss");
}

// plugin = "" turns off a detector that an extended file names; the other keys there then have no effect.
void check_held_out(const RunConfig& config, const config::Value& root, config::Problems& problems) {
  const auto enabled = [](const auto& split) { return split.second.enabled; };
  if (config.train.eval_every > 0 && std::ranges::none_of(config.data.eval, enabled))
    problems.add(root.where, "train.eval_every is set and there is nothing to evaluate",
                 "add [[data.eval.NAME.sources]] with a path, or leave train.eval_every at 0");
}

void check_voice_activity(const model::ComponentSpec& vad, const config::Value& root, config::Problems& problems) {
  if (!vad.plugin.empty()) {
    model::check_keys("voice_activity", vad.plugin, vad.options, "session.vad", problems);
    return;
  }
  config::without_unknown(model::voice_activity_slot(), {}, vad.options, "session.vad", problems);
  const auto* session = root.find("session");
  const auto* table = session ? session->find("vad") : nullptr;
  const auto* weights = table ? table->find("weights") : nullptr;
  if (weights && !table->find("plugin") && vad.options.get_if<config::Value::Table>()->empty())
    problems.add(weights->where, "[session.vad] has weights and no plugin", "add plugin = \"silero\"");
}

void check_rewards(const std::vector<train::RewardOptions>& rewards, config::Problems& problems) {
  for (size_t i = 0; i < rewards.size(); ++i)
    if (!rewards[i].plugin.empty())
      model::check_keys("reward", rewards[i].plugin, rewards[i].options, fmt::format("train.rollout.rewards.{}", i),
                        problems);
}

// A file of configs/models that holds only a stream is not a mistake, but it cannot be run by itself.
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

void check_stragglers(double ratio, config::Problems& problems) {
  if (ratio == 0 || ratio > 1) return;
  problems.add({}, fmt::format("train.straggler_ratio is {}; expected more than 1, or 0", ratio),
               "1.5 is told of processes that take half as long again as the median");
}

void check_trained(const RunConfig& config, config::Problems& problems) {
  if (config.precision.trained == "bf16" && config.train.ema.decay > 0)
    problems.add({}, "precision.trained = \"bf16\" beside train.ema, whose averages need more digits",
                 "leave one of them out");
}

}  // namespace

const config::Table<RunConfig>& run_table() {
  using C = RunConfig;
  static const auto* table =
      new config::Table<C>(config::Table<C>("configuration")
                               .table("model", &C::model, model::model_table(), "what is composed", {.required = true})
                               .table("data", &C::data, data::data_table(), "what it reads")
                               .table("objective", &C::objective, model::objective_slot(), "what is minimised")
                               .table("train", &C::train, train::train_table(), "how it is trained")
                               .table("precision", &C::precision, train::precision_table(), "number formats")
                               .table("parallel", &C::parallel, train::parallel_table(), "how processes share the work")
                               .table("generate", &C::generate, engine::generate_table(), "how answers are written")
                               .table("eval", &C::eval, eval::eval_table(), "how it is evaluated")
                               .table("session", &C::session, session::session_table(), "how a session takes turns"));
  return *table;
}

bool is_model_directory(const std::filesystem::path& path) {
  const auto has = [&](const char* name) { return path_exists(path / name, ErrorKind::config); };
  return is_folder(path, ErrorKind::config) && !has("config.toml") &&
         (has("config.json") || model::is_adapter_folder(path));
}

bool is_run_folder(const std::filesystem::path& path) {
  return is_folder(path, ErrorKind::config) && !is_model_directory(path);
}

namespace {

// Checkpoints are written at other times, too, if these options ask for it.
void check_rollbacks(const train::TrainOptions& train, config::Problems& problems) {
  const bool otherwise = train.keep_best > 0 || train.patience > 0 || train.keep_minutes > 0 || train.max_minutes > 0 ||
                         train.stop_after_minutes > 0;
  if (train.rollbacks == 0 || train.checkpoint_every < train.steps || otherwise) return;
  problems.add({},
               fmt::format("train.rollbacks has no effect with train.checkpoint_every = {} and train.steps = {}: there "
                           "is no checkpoint to go back to",
                           train.checkpoint_every, train.steps),
               "lower train.checkpoint_every, or leave train.rollbacks out");
}

}  // namespace

std::vector<std::string> stages_of_file(const std::filesystem::path& file_or_run) {
  return stage_names(load_root(file_or_run));
}

RunConfig read_config(const std::filesystem::path& file_or_run, const std::vector<std::string>& sets,
                      const std::string& stage) {
  auto root = load_root(file_or_run);
  select_stage(root, stage, sets);
  auto* table = root.get_if<config::Value::Table>();
  if (table && table->contains("model")) model::expand_from(table->at("model"));
  config::Problems problems;
  if (table) read_loss_table(*table, problems);
  RunConfig config;
  refuse_misspelt_others(root, problems);
  run_table().read(&config, root, "", problems);
  if (!config.objective.plugin.empty())
    model::check_keys("objective", config.objective.plugin, config.objective.options, "objective", problems);
  const auto& optimizer = config.train.optimizer;
  if (!optimizer.name.empty())
    model::check_keys("optimizer", optimizer.name, optimizer.options, "train.optimizer", problems);
  check_rewards(config.train.rollout.rewards, problems);
  train::recomputed_blocks(config.train.recompute, problems);
  const auto* recompute = config.train.recompute.get_if<std::string>();
  if (config.train.offload_activations && recompute && *recompute == "none")
    problems.add({}, "train.offload_activations has no effect with train.recompute = \"none\"",
                 "give train.recompute = \"full\", or leave it out");
  train::check_schedule(config.train.schedule, problems);
  train::check_ramp(config.train, 1, problems);
  train::check_best(config.train, problems);
  check_rollbacks(config.train, problems);
  data::check_sources(config.data, problems);
  data::check_data(config.data, problems);
  data::check_asked(config.data.attributes, config.generate.attributes, problems);
  check_voice_activity(config.session.vad, root, problems);
  check_held_out(config, root, problems);
  check_trained(config, problems);
  check_stragglers(config.train.straggler_ratio, problems);
  if (!problems.empty()) model::check_slots(config.model, problems);  // else the model does it when it is built
  throw_problems(problems, root);
  return config;
}

}  // namespace antiphon::run
