// What training minimises: a function of the log-probabilities of the supervised tokens. It sees no model, no batch and
// no rank.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/component/kind.h>

namespace antiphon {

struct ObjectiveNeeds {
  // Sequences of each group: those that the objective compares (the answers to one prompt). 1: each stands alone.
  int64_t candidates = 1;
  // The model writes these sequences, and rewards (component/reward.h) give their values: of a record the prompt is
  // read, so that it needs no candidates.
  bool written = false;
  // The log-probabilities of the same tokens under the reference model.
  bool reference = false;
  // Numbers that the model gives of each sequence (model.graph = "reward_model"), in place of log-probabilities; then
  // there is no reference.
  int64_t scores = 0;
  // Two vectors of each sequence (model.graph = "dual_encoder"), side by side in scores_sk, in place of
  // log-probabilities: the loss compares those of all sequences of a step, whatever batches and processes they are of.
  bool pairs = false;
  // The derivative of the loss is the same number for every token of a step, so that the gradient of a trained head is
  // computed together with its logits, which are not recomputed.
  bool even_gradient = false;
  // How many candidates a record must have.
  int64_t of_record() const { return written ? 1 : candidates; }
};

// Over all batches and processes of one optimizer step; known before its first backward pass. A loss is a sum divided
// by one of these, so that it does not depend on how a step is cut into batches.
struct StepTotals {
  int64_t tokens = 0, sequences = 0;  // of sequences whose weight is not 0
  int64_t groups = 0;
  int64_t preferred_tokens = 0;  // of each group's first sequence
};

// The supervised tokens of one batch, sequence by sequence, and the sequences group by group.
struct ObjectiveInput {
  at::Tensor logp_n;     // [n] float32: log-probability of each token; carries the gradient
  at::Tensor scores_sk;  // [sequences, needs().scores] float32, if there are any: these carry the gradient
  // If needs().pairs: scores_sk [totals.sequences, 2 * width] holds those of the whole step, and this process's, which
  // carry the gradient, are the `own_sequences` from `first_own` on.
  int64_t first_own = 0, own_sequences = 0;
  at::Tensor reference_n;       // [n] float32: the same under the reference; undefined unless needed
  at::Tensor behaviour_n;       // [n] float32: the same when they were written; undefined unless needs().written
  std::vector<int64_t> counts;  // tokens of each sequence; their sum is n
  std::vector<int64_t> groups;  // sequences of each group; their sum is counts.size()
  std::vector<double> weights;  // of each sequence: 0 if its tokens do not count, else 1
  std::vector<double> values;   // of each sequence: label, score or reward; NaN: unknown
  StepTotals totals;
};

// Names that every run writes beside those of its objective, which therefore has others.
inline constexpr std::array<std::string_view, 31> kRunMetrics{"loss",
                                                              "lr",
                                                              "gradient_norm",
                                                              "tokens_per_second",
                                                              "supervised_tokens",
                                                              "samples",
                                                              "step_seconds",
                                                              "slowest_seconds",
                                                              "fastest_seconds",
                                                              "data_wait_seconds",
                                                              "loader_wait",
                                                              "loss_scale",
                                                              "overflows",
                                                              "memory_bytes",
                                                              "device_memory_bytes",
                                                              "bad_samples",
                                                              "filtered_samples",
                                                              "batch_fill",
                                                              "batches",
                                                              "checkpoint_failures",
                                                              "verified_steps",
                                                              "oom_splits",
                                                              "oom_skips",
                                                              "not_finite_steps",
                                                              "rollbacks",
                                                              "most_memory_bytes",
                                                              "most_memory_process",
                                                              "gflops_per_second",
                                                              "share_of_peak",
                                                              "step_memory_bytes",
                                                              "sent_bytes"};

// Its mean over a step is the sum of `sum` over the batches divided by that of `count`.
struct Metric {
  std::string name;  // "rewards/margins"
  at::Tensor sum;    // scalar, detached; if needs().pairs: of each own sequence [n]
  double count = 0;
};

struct ObjectiveOutput {
  // Scalar float32; carries the gradient. If needs().pairs: the own sequences' part of the loss, with the gradient of
  // the whole loss for their rows.
  at::Tensor loss;
  std::vector<Metric> metrics = {};
  at::Tensor losses_n = {};  // if needs().pairs: each own sequence's part of the loss, detached
};

class Objective {
 public:
  virtual ~Objective() = default;
  virtual ObjectiveNeeds needs() const = 0;
  virtual ObjectiveOutput forward(const ObjectiveInput& input) = 0;
};

template <>
struct KindOf<Objective> : Kind<> {
  static constexpr const char* name = "objective";
};

}  // namespace antiphon
