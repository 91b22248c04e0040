// antiphon train FILE [--resume]
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/kernels/float8.h>
#include <antiphon/nn/linear.h>
#include <antiphon/train/trainer.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/export.h>
#include <common/command.h>
#include <common/profile.h>

namespace antiphon::apps {
namespace {

// The exit code of a run that stopped since fewer than train.min_steps fit; no error, so no ErrorKind.
constexpr int kTooFewSteps = 8;

struct TrainFlags {
  SessionFlags session;
  ProfileFlags profile;
  bool resume = false;
};

// What another program can use: adapters in PEFT's format, connectors as safetensors.
void export_parts(Session& session, const std::filesystem::path& folder) {
  auto& model = *session.model;
  for (size_t i = 0; i < model.pefts().size(); ++i) {
    const auto name = model.pefts().size() > 1 ? fmt::format("adapter_{}", i) : "adapter";
    weights::save_adapter(folder / name, *model.pefts()[i], model.parts().front().weights);
    log::info(fmt::format("adapter in {}", (folder / name).string()));
  }
  make_folder(folder / "connectors", ErrorKind::weights);
  for (const auto& [name, stream] : model.streams()) {
    const auto path = folder / "connectors" / (name + ".safetensors");
    weights::save_safetensors(
        path, weights::checkpoint_tensors(stream->connector().module(), NameMap{{{"{}", "{}"}}, {}, {}}));
    log::info(fmt::format("connector in {}", path.string()));
  }
}

void refuse_leftover(const train::RunFolder& folder, bool resume) {
  if (resume || !checkpoint::has_checkpoints(folder.checkpoints())) return;
  fail(ErrorKind::config, fmt::format("{} holds a run with checkpoints", folder.path().string()),
       "give --resume to go on with it, or another train.output");
}

// For training only: what is trained so is evaluated and served in the plain dtype.
void use_float8(Session& session) {
  if (session.config.precision.linear != "fp8") return;
  if (const auto why = kernels::float8_missing(session.device); !why.empty())
    fail(ErrorKind::config, fmt::format("precision.linear = \"fp8\": {} cannot do it: {}", session.device.str(), why),
         "leave precision.linear out, or use a GPU of compute capability 8.9 or more");
  int64_t applied = 0, total = 0;
  for (const auto& site : session.model->llm().module().sites()) ++total, applied += site.linear->use_float8();
  if (applied == 0)
    fail(ErrorKind::config,
         fmt::format("precision.linear = \"fp8\" fits none of the language model's {} linear layers: their sides are "
                     "no multiples of {}",
                     total, kernels::kFloat8Tile),
         "leave precision.linear out");
  log::info(fmt::format("  llm: {}/{} linear layers in fp8", applied, total));
  if (session.device.is_cpu())
    log::warning("fp8 on a CPU is slower than without: products are computed from what the 8 bits stand for");
}

int run(const TrainFlags& flags) {
  Session session(flags.session);
  auto& config = session.config;
  if (config.train.output.empty())
    fail(ErrorKind::config, "train.output is missing",
         "name the folder of the run, e.g. --set train.output=runs/first");
  train::RunFolder folder(config.train.output);
  refuse_leftover(folder, flags.resume);
  if (!session.prompts.ends_answers())
    log::warning(
        "the chat template writes no token that ends an answer, so the model will not learn to stop\n  fix: name a "
        "template that does in model.llm.chat_template");
  data::Loader loader(config.data, session.preparer, config.train.tokens_per_batch,
                      static_cast<uint64_t>(config.train.seed), [&](const data::BadSample& bad) {
                        log::warning(fmt::format("{}:{}: skipped: {}", shown(bad.file), bad.line, bad.reason));
                        folder.bad_sample(bad);
                      });
  log::info(fmt::format("data: {} samples in {} sources, {} tokens a batch", loader.rows(),
                        config.data.train.sources.size(), config.train.tokens_per_batch));
  for (const auto& [name, stream] : session.model->streams())
    log::info(fmt::format("  stream {}: {} tokens for its smallest item", name, stream->example_tokens()));
  use_float8(session);
  train::Trainer trainer(*session.model, *session.loss, loader, session.cache, folder, config.train);
  const int64_t step = flags.resume ? trainer.resume() : 0;
  if (flags.resume && step == 0) log::info("nothing to resume: starting anew");
  folder.remove_leftovers();
  folder.write_config(session.resolved());
  folder.write_environment(session.device.str(), graph::name_of(session.model->formats()));
  folder.open_logs(step);
  const auto profiler = open_profiler(flags.profile, session, folder.path() / "profile");
  trainer.set_profiler(profiler.get());
  if (trainer.run() == train::RunEnd::too_few_steps) return kTooFewSteps;
  export_parts(session, folder.path());
  return 0;
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("train", "train what the configuration composes");
  auto flags = std::make_shared<TrainFlags>();
  add_session_flags(*command, flags->session);
  command->add_flag("--resume", flags->resume, "go on from the newest complete checkpoint of train.output");
  add_profile_flags(*command, flags->profile);
  command->callback([flags, &action] {
    install_stop_signals();  // before libraries of plugins and weights are loaded
    action = [flags] { return run(*flags); };
  });
}

}  // namespace antiphon::apps
