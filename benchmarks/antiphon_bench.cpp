// antiphon_bench train|decode|session: the shape of a model file with random weights, through the same calls as the
// program. Run by benchmarks/run.py beside peer_train.py and peer_decode.py, which print the same keys.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <CLI/CLI.hpp>

#include <antiphon/base/heap.h>
#include <antiphon/base/log.h>
#include <antiphon/component/loss.h>
#include <antiphon/data/prepare.h>
#include <antiphon/graph/slot.h>
#include <antiphon/infer/generator.h>
#include <antiphon/train/optimizer.h>

#include "measure.h"
#include "session_bench.h"

namespace antiphon::bench {
namespace {

constexpr int64_t kPrompt = 64, kNew = 128, kLongPrompt = 512;
constexpr const char* kLora =
    R"([{plugin = "lora", rank = 16, alpha = 32, targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}])";

struct Flags {
  std::string model, dtype = "fp32";
  int threads = 0;
  int64_t batch = 4, sequence = 256;
  Repeats repeats;
};

std::unique_ptr<graph::MultimodalLm> random_model(const Flags& flags, bool lora) {
  auto root = config::load_toml(flags.model);
  config::apply_set(root, R"(model.llm.weights="")");
  if (lora) config::apply_set(root, std::string("model.llm.peft=") + kLora);
  config::Problems problems;
  auto spec = graph::model_table().parse(*root.find("model"), "model", problems);
  problems.throw_if_any();
  auto model = graph::MultimodalLm::build(spec);
  model->load({at::kCPU, flags.dtype == "bf16" ? at::kBFloat16 : at::kFloat, 1});
  return model;
}

data::Prepared random_sample(graph::MultimodalLm& model, int64_t tokens) {
  const auto ids = at::randint(1, model.llm().vocab_size(), {tokens}, at::kLong);
  data::Prepared sample;
  sample.id = "random";
  sample.ids.assign(ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + tokens);
  sample.supervised.assign(sample.ids.size(), true);
  return sample;
}

std::unique_ptr<Loss> cross_entropy() {
  config::Problems problems;
  config::Value options = config::Value::Table{};
  auto loss = graph::build_slot<Loss>("loss", "cross_entropy", {}, options, "loss", problems);
  problems.throw_if_any();
  return loss;
}

// As train::Trainer makes a step, without its clipping (the peer has none either).
double train_step(graph::MultimodalLm& model, Loss& loss, const graph::Batch& batch, train::Optimizer& optimizer) {
  const auto hidden = model.forward(batch).index_select(0, batch.supervised_n);
  const auto output =
      loss.forward({hidden, model.llm().head_weight(), batch.labels_n, static_cast<double>(batch.supervised())});
  torch::autograd::backward({output.loss}, {});
  optimizer.step(1.0);
  return output.loss.item<double>();
}

void train(const Flags& flags) {
  auto model = random_model(flags, true);
  const auto loss = cross_entropy();
  train::TrainOptions options;
  options.optimizer.lr = 1e-4;
  train::Optimizer optimizer(model->trainable_parameters(), options);
  std::vector<data::Prepared> samples;
  for (int64_t i = 0; i < flags.batch; ++i) samples.push_back(random_sample(*model, flags.sequence));
  const auto batch = data::pack(std::move(samples));
  std::vector<double> losses;
  const auto walls = repeat(flags.repeats, [&] { losses.push_back(train_step(*model, *loss, batch, optimizer)); });
  std::vector<double> rates;
  for (const double wall : walls) rates.push_back(static_cast<double>(batch.tokens()) / wall);
  int64_t trained = 0;
  for (const auto& parameter : optimizer.parameters()) trained += parameter.tensor->numel();
  emit("train",
       {{"dtype", flags.dtype},
        {"batch", flags.batch},
        {"seq", flags.sequence},
        {"trainable", trained},
        {"loss0", losses.front()},
        {"loss_last", losses.back()}},
       {{"wall_med_s", walls}, {"tokens_per_s", rates}});
}

std::vector<double> generate(graph::MultimodalLm& model, const Repeats& repeats, int64_t prompt, int64_t fresh) {
  infer::GenerateOptions options;
  options.max_tokens = fresh;
  const auto sample = random_sample(model, prompt);
  return repeat(repeats, [&] { infer::generate(model, {sample}, options, {}); });
}

void decode(const Flags& flags) {
  auto model = random_model(flags, false);
  const auto walls = generate(*model, flags.repeats, kPrompt, kNew);
  const auto first = generate(*model, flags.repeats, kPrompt, 1);
  const auto prefill = generate(*model, flags.repeats, kLongPrompt, 1);
  std::vector<double> decode_rates, prefill_rates;
  for (const double wall : walls) decode_rates.push_back((kNew - 1) / (wall - median(first)));
  for (const double wall : prefill) prefill_rates.push_back(kLongPrompt / wall);
  emit("decode", {{"dtype", flags.dtype}, {"prompt", kPrompt}, {"new", kNew}},
       {{"wall_med_s", walls},
        {"decode_tok_s", decode_rates},
        {"ttft64_s", first},
        {"prefill512_tok_s", prefill_rates}});
}

int run(int argc, char** argv) {
  CLI::App program("Our half of the benchmarks; one JSON line.");
  program.require_subcommand(1);
  program.fallthrough();
  Flags flags;
  program.add_option("--model", flags.model, "train, decode: TOML file with [model.llm]; its weights are not read");
  program.add_option("--dtype", flags.dtype)->check(CLI::IsMember({"fp32", "bf16"}));
  program.add_option("--threads", flags.threads, "0: as LibTorch chooses");
  program.add_option("--warmup", flags.repeats.warmup)->check(CLI::PositiveNumber);
  program.add_option("--reps", flags.repeats.count)->check(CLI::PositiveNumber);
  auto* train_command =
      program.add_subcommand("train", "LoRA r16 on the 7 projections, all positions supervised, fused AdamW");
  train_command->add_option("--batch", flags.batch)->check(CLI::PositiveNumber);
  train_command->add_option("--seq", flags.sequence)->check(CLI::PositiveNumber);
  program.add_subcommand("decode", "greedy, batch 1, KV cache");
  SessionFlags spoken;
  auto* session_command = program.add_subcommand("session", "from the end of a spoken turn to the first token");
  session_command->add_option("--recipe", spoken.recipe, "its weights are read")->required();
  session_command->add_option("--sound", spoken.sound, "speech, repeated to the length")->required();
  session_command->add_option("--detector", spoken.detector, "directory of the voice activity detector")->required();
  session_command->add_option("--chunk", spoken.chunk, "seconds");
  session_command->add_option("--left-context", spoken.left_context, "seconds");
  session_command->add_option("--seconds", spoken.seconds, "lengths of the turns");
  CLI11_PARSE(program, argc, argv);
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  if (session_command->parsed()) {
    spoken.dtype = flags.dtype, spoken.repeats = flags.repeats;
    session(spoken);
  } else {
    train_command->parsed() ? train(flags) : decode(flags);
  }
  return 0;
}

}  // namespace
}  // namespace antiphon::bench

int main(int argc, char** argv) {
  antiphon::keep_freed_memory();
  antiphon::log::set_level(antiphon::log::Level::warning);
  try {
    return antiphon::bench::run(argc, argv);
  } catch (const antiphon::Error& error) {
    antiphon::log::error(error.what());
    return static_cast<int>(error.kind());
  }
}
