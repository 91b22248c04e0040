// A whole model on the device: steps of training, and decoding.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/data/prepare.h>
#include <antiphon/engine/generator.h>
#include <antiphon/model/slot.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/optimizer.h>

#include "device_bench.h"
#include "random_model.h"

namespace antiphon::bench {
namespace {

// Filled on the device: the CPU would take minutes for billions of random numbers.
void fill_frozen(model::MultimodalLm& model, const Bench& bench) {
  c10::AutoGradMode no_grad(false);
  for (auto& part : model.parts())
    for (auto& parameter : part.module->parameters()) {
      if (parameter.tensor->requires_grad() && part.path.find("peft") != std::string::npos) continue;
      const bool trained = parameter.tensor->requires_grad();
      const auto dtype = trained ? at::kFloat : bench.dtype();
      auto value = at::empty(parameter.tensor->sizes(), at::TensorOptions(bench.device()).dtype(dtype));
      parameter.init == Init::ones ? value.fill_(1) : value.normal_(0, 0.02);
      *parameter.tensor = value.set_requires_grad(trained);
    }
}

std::unique_ptr<model::MultimodalLm> model_on(const Bench& bench, const std::vector<std::string>& settings) {
  auto root = config::load_toml(bench.flags().model);
  config::apply_set(root, R"(model.llm.weights="")");
  for (const auto& setting : settings) config::apply_set(root, setting);
  if (bench.flags().layers) config::apply_set(root, fmt::format("model.llm.num_layers={}", bench.flags().layers));
  config::Problems problems;
  auto spec = model::model_table().parse(*root.find("model"), "model", problems);
  problems.throw_if_any();
  auto model = model::MultimodalLm::build(spec);
  fill_frozen(*model, bench);
  model->load({bench.device(), {bench.dtype(), bench.dtype(), ""}, 1});
  return model;
}

model::Batch batch_of(model::MultimodalLm& model, int64_t samples, int64_t tokens) {
  std::vector<data::Prepared> all;
  for (int64_t i = 0; i < samples; ++i) all.push_back(random_sample(model, tokens));
  return data::pack(std::move(all));
}

// Parameters that a token is multiplied with: all but the embedding, which is looked up.
double multiplied(model::MultimodalLm& model) {
  const auto all = static_cast<double>(model.llm().module().parameter_count());
  const bool tied = model.llm().head_weight().data_ptr() == model.llm().module().parameters()[0].tensor->data_ptr();
  return tied ? all : all - static_cast<double>(model.llm().head_weight().numel());
}

}  // namespace

void device_train(const Bench& bench, bool full) {
  const auto& flags = bench.flags();
  auto model = model_on(bench, {full ? "model.llm.trainable=true" : kLora});
  int64_t in_fp8 = 0;
  if (flags.fp8)
    for (const auto& site : model->llm().module().sites()) in_fp8 += site.linear->use_float8();
  train::TrainOptions options;
  options.optimizer.lr = 1e-5;
  const auto rule = run::build_update_rule(options.optimizer);
  train::Optimizer optimizer(model->trainable_parameters(), options, *rule);
  const auto batch = batch_of(*model, flags.batch, flags.sequence);
  const auto supervised = batch.supervised_n.to(bench.device()), labels = batch.labels_n.to(bench.device());
  std::vector<double> losses;
  const auto step = [&] {
    const auto hidden = model->forward(batch).index_select(0, supervised);
    const auto loss = -nn::token_scores(hidden, model->llm().head_weight(), labels, {1024, true}).mean();
    torch::autograd::backward({loss}, {});
    optimizer.step(1.0);
    losses.push_back(loss.item<double>());
  };
  const double peak = bench.peak_mib(step);
  const auto walls = bench.walls(step);
  // 4 N a token with adapters (forward, and the gradient of what is computed), 6 N if the weights have one too.
  const double flops_of_token = (full ? 6 : 4) * multiplied(*model), tokens = static_cast<double>(batch.tokens());
  std::vector<double> rates, tflops;
  for (const double wall : walls)
    rates.push_back(tokens / wall), tflops.push_back(flops_of_token * tokens / wall * 1e-12);
  bench.print(full ? "device_full" : "device_train",
              {{"batch", flags.batch},
               {"seq", flags.sequence},
               {"layers", flags.layers},
               {"layers_in_fp8", in_fp8},
               {"parameters", model->llm().module().parameter_count()},
               {"loss0", losses.front()},
               {"loss_last", losses.back()},
               {"step_peak_mib", peak}},
              {{"wall_med_s", walls}, {"tokens_per_s", rates}, {"tflops", tflops}});
}

void device_decode(const Bench& bench) {
  const auto& flags = bench.flags();
  auto model = model_on(bench, {});
  std::vector<data::Prepared> prompts;
  for (int64_t i = 0; i < flags.batch; ++i) prompts.push_back(random_sample(*model, flags.sequence));
  const auto answer = [&](int64_t tokens) {
    engine::GenerateOptions options;
    options.max_tokens = tokens;
    return bench.walls([&] { engine::generate(*model, prompts, options, {}); });
  };
  const auto walls = answer(flags.fresh), first = answer(1);
  const double bytes = multiplied(*model) * static_cast<double>(at::elementSize(bench.dtype()));
  std::vector<double> rates, bandwidth;
  for (const double wall : walls) {
    const double steps = static_cast<double>(flags.fresh - 1) / (wall - median(first));
    rates.push_back(steps * static_cast<double>(flags.batch)), bandwidth.push_back(steps * bytes * 1e-9);
  }
  bench.print("device_decode", {{"batch", flags.batch}, {"prompt", flags.sequence}, {"new", flags.fresh}},
              {{"wall_med_s", walls}, {"ttft_s", first}, {"decode_tok_s", rates}, {"weights_gb_s", bandwidth}});
}

}  // namespace antiphon::bench
