#include <antiphon/train/trainer.h>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>
#include <antiphon/weights/load.h>

#include <chrono>
#include <cmath>
#include <fstream>

namespace antiphon::train {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr int64_t kMaxNotFinite = 10;

std::string sample_list(const std::vector<std::string>& samples) {
  const std::vector<std::string> first(samples.begin(),
                                       samples.begin() + static_cast<long>(std::min<size_t>(samples.size(), 8)));
  return join(first, ", ") + (samples.size() > 8 ? fmt::format(" and {} more", samples.size() - 8) : "");
}

nlohmann::json to_json(const data::LoaderState& state) {
  return {{"drawn", state.order.drawn},
          {"good", state.counts.good},
          {"bad", state.counts.bad},
          {"consecutive_bad", state.counts.consecutive_bad}};
}

data::LoaderState loader_state(const nlohmann::json& json) {
  return {{json.at("drawn").get<std::vector<int64_t>>()},
          {json.at("good"), json.at("bad"), json.at("consecutive_bad")}};
}

void store_features(const graph::Batch& batch, data::FeatureCache& cache) {
  for (const auto& media : batch.media) {
    if (media.cache_key.empty() || media.item.inputs.empty()) continue;
    const TraceScope scope("feature cache");
    cache.store(media.cache_key, {media.item.features, media.item.tiling});
  }
}

}  // namespace

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Trainer::Trainer(graph::MultimodalLm& model, Loss& loss, data::Loader& loader, data::FeatureCache& cache,
                 RunFolder& folder, const TrainOptions& options)
    : model_(model),
      loss_(loss),
      loader_(loader),
      cache_(cache),
      folder_(folder),
      options_(options),
      optimizer_(model.trainable_parameters(), options) {
  auto generator = at::globalContext().defaultGenerator(at::kCPU);
  generator.set_current_seed(static_cast<uint64_t>(options.seed));  // dropout
  log::info("  optimizer: " + optimizer_.describe());
}

int64_t Trainer::resume() {
  const auto path = latest_checkpoint(folder_.checkpoints());
  if (!path && has_checkpoints(folder_.checkpoints()))
    fail(ErrorKind::weights, fmt::format("none of the checkpoints in {} is complete", folder_.checkpoints().string()),
         "restore one from a copy, or start a new run in another train.output");
  if (!path) return 0;
  return with_context("resuming from " + path->string(), [&] {
    auto loaded = load_checkpoint(*path, true);
    if (loaded.progress.value("data", "") != loader_.fingerprint())
      fail(ErrorKind::weights,
           "the data is not what the run was trained on: its files, train.seed or data.shuffle have changed",
           "restore them, or start a new run in another train.output");
    restore_parameters(model_, loaded.parameters);
    auto generator = at::globalContext().defaultGenerator(at::kCPU);
    generator.set_state(loaded.state.at("random.cpu").clone());
    optimizer_.restore(loaded.state);
    loader_.restore(loader_state(loaded.progress.at("loader")));
    step_ = saved_step_ = loaded.progress.at("step");
    trained_tokens_ = loaded.progress.at("trained_tokens");
    elapsed_ = loaded.progress.at("elapsed");
    not_finite_ = loaded.progress.at("not_finite");
    loss_average_ = loaded.progress.at("loss_average");
    log::info(fmt::format("resumed at step {} from {}: applied {}/{} tensors", step_, path->string(),
                          loaded.parameters.size(), optimizer_.parameters().size()));
    return step_;
  });
}

void restore_parameters(graph::MultimodalLm& model, const std::map<std::string, at::Tensor>& values) {
  c10::AutoGradMode no_grad(false);
  std::vector<std::string> missing;
  auto parameters = model.trainable_parameters();
  for (const auto& parameter : parameters) {
    const auto value = values.find(parameter.name);
    if (value == values.end() || value->second.sizes() != parameter.tensor->sizes()) {
      missing.push_back(parameter.name);
    } else {
      parameter.tensor->copy_(value->second);
    }
  }
  if (missing.empty() && values.size() == parameters.size()) return;
  fail(ErrorKind::weights,
       fmt::format("the checkpoint does not fit the model: {} of {} trained tensors are missing or of another shape "
                   "({}); it holds {}",
                   missing.size(), parameters.size(), sample_list(missing), values.size()),
       "use the config.toml of that run");
}

LossOutput Trainer::forward(graph::Batch& batch, double normalizer) {
  model_.encode(batch);
  store_features(batch, cache_);
  const auto hidden = model_.forward(batch);
  const TraceScope scope("loss");
  LossInput input;
  input.hidden_nd = hidden.index_select(0, batch.supervised_n.to(model_.device()));
  input.head_weight_vd = model_.llm().head_weight();
  input.labels_n = batch.labels_n.to(model_.device());
  input.normalizer = normalizer;
  return loss_.forward(input);
}

void Trainer::backward(graph::Batch& batch, double normalizer, StepResult& result) {
  const auto output = forward(batch, normalizer);
  {
    const TraceScope scope("backward");
    torch::autograd::backward({output.loss}, {});
  }
  result.loss += output.loss.item<double>();
  result.tokens += batch.tokens() - batch.padding, result.samples += static_cast<int64_t>(batch.sample_ids.size());
}

StepResult Trainer::step() {
  std::vector<graph::Batch> batches;
  std::vector<std::string> samples;
  StepResult result;
  for (int64_t i = 0; i < options_.accumulate; ++i) {
    batches.push_back(loader_.next_batch());
    result.supervised += batches.back().supervised();
    samples.insert(samples.end(), batches.back().sample_ids.begin(), batches.back().sample_ids.end());
  }
  try {
    for (auto& batch : batches) backward(batch, static_cast<double>(result.supervised), result);
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::memory,
         fmt::format("out of memory at step {} with {} tokens in a batch; samples: {}", step_ + 1,
                     batches.front().tokens(), sample_list(samples)),
         "lower train.tokens_per_batch");
  }
  update(result, samples);
  return result;
}

void Trainer::update(StepResult& result, const std::vector<std::string>& samples) {
  const TraceScope scope("optimizer");
  result.gradient_norm = optimizer_.clip(options_.clip_norm);
  result.skipped = !std::isfinite(result.gradient_norm) || !std::isfinite(result.loss);
  count_skipped(result, samples);
  if (result.skipped) {
    optimizer_.drop_gradients();
  } else {
    optimizer_.step(lr_ratio(options_.schedule, step_, options_.steps, progress()));
  }
}

void Trainer::count_skipped(const StepResult& result, const std::vector<std::string>& samples) {
  if (!result.skipped) {
    not_finite_ = 0;
    return;
  }
  log::warning(fmt::format("step {}: loss {} and gradient norm {} are not finite; the step is skipped", step_ + 1,
                           result.loss, result.gradient_norm));
  if (++not_finite_ >= kMaxNotFinite)
    fail(ErrorKind::data,
         fmt::format("{} steps in a row had no finite gradient; the last one held the samples {}", not_finite_,
                     sample_list(samples)),
         "lower the learning rate, use precision.compute = \"fp32\", or look at these samples");
}

// How far the run is by the clock, or -1 where only steps count.
double Trainer::progress() const { return options_.max_minutes > 0 ? elapsed_ / (options_.max_minutes * 60) : -1; }

void Trainer::after_step(const StepResult& result, double seconds) {
  ++step_;
  elapsed_ += seconds;
  trained_tokens_ += result.tokens;
  if (!result.skipped) loss_average_ = step_ == 1 ? result.loss : 0.95 * loss_average_ + 0.05 * result.loss;
  const double rate = static_cast<double>(result.tokens) / seconds, waited = loader_.waited_seconds();
  const double lr = options_.optimizer.lr * lr_ratio(options_.schedule, step_ - 1, options_.steps, progress());
  std::map<std::string, double> metrics{{"train/loss", result.loss},
                                        {"train/lr", lr},
                                        {"train/gradient_norm", result.gradient_norm},
                                        {"train/tokens_per_second", rate},
                                        {"train/supervised_tokens", static_cast<double>(result.supervised)},
                                        {"train/samples", static_cast<double>(result.samples)},
                                        {"train/step_seconds", seconds},
                                        {"train/data_wait_seconds", waited - shown_waited_},
                                        {"train/memory_bytes", resident_bytes()},
                                        {"train/bad_samples", static_cast<double>(loader_.counts().bad)},
                                        {"train/checkpoint_failures", static_cast<double>(failed_saves_)}};
  if (profiler_) metrics.merge(profiler_->metrics(seconds));
  folder_.metrics(step_, metrics);
  shown_waited_ = waited;
  const double by_steps = elapsed_ / static_cast<double>(step_) * static_cast<double>(options_.steps - step_);
  const double left = options_.max_minutes > 0 ? std::min(by_steps, options_.max_minutes * 60 - elapsed_) : by_steps;
  show_progress(
      fmt::format("step {}/{}  loss {:.4f} (avg {:.4f})  {:.0f} tokens/s  lr {:.2e}  {}  ETA {}", step_, options_.steps,
                  result.loss, loss_average_, rate, lr, human_bytes(resident_bytes()), human_duration(left)),
      step_ == 1);
}

void Trainer::save() {
  if (saved_step_ == step_) return;
  const TraceScope scope("checkpoint");
  CheckpointContent content;
  for (const auto& parameter : optimizer_.parameters())
    content.parameters.emplace_back(parameter.name, parameter.tensor->detach());
  content.state = optimizer_.state();
  content.state.emplace_back("random.cpu", at::globalContext().defaultGenerator(at::kCPU).get_state());
  content.progress = {{"step", step_},
                      {"trained_tokens", trained_tokens_},
                      {"elapsed", elapsed_},
                      {"not_finite", not_finite_},
                      {"loss_average", loss_average_},
                      {"loader", to_json(loader_.state())},
                      {"data", loader_.fingerprint()}};
  const auto path = save_checkpoint(folder_.checkpoints(), step_, content, options_.keep_checkpoints);
  saved_step_ = step_;
  log::debug("checkpoint " + path.string());
}

// A full disk must not end a long run while the next interval may find room; the last checkpoint has to succeed. After
// a step without a finite gradient the parameters may be spoilt, so the older checkpoints are kept.
void Trainer::save_if_possible() {
  if (not_finite_ > 0) return;
  try {
    save();
  } catch (const Error& error) {
    ++failed_saves_;
    log::warning(fmt::format("step {}: no checkpoint could be written; the training goes on: {}", step_, error.what()));
  }
}

void Trainer::run() {
  while (step_ < options_.steps && progress() < 1) {
    if (profiler_) profiler_->begin_step();
    const auto begin = Clock::now();
    const auto result = step();
    after_step(result, since(begin));
    if (const int signal = stop_requested()) {
      save();
      finish_progress();
      fail(ErrorKind::preempted,
           fmt::format("stopped by signal {} after step {}; a checkpoint is written", signal, step_),
           "start the same command with --resume to go on");
    }
    if (step_ % options_.checkpoint_every == 0) save_if_possible();
    if (profiler_) profiler_->end_step();
  }
  if (profiler_) profiler_->finish();
  finish_progress();
  save();
  log::info(fmt::format("trained {} steps, {} tokens in {}; average loss {:.4f}; {} samples skipped", step_,
                        human_count(static_cast<double>(trained_tokens_)), human_duration(elapsed_), loss_average_,
                        loader_.counts().bad));
}

}  // namespace antiphon::train
