// The memory that training needs, estimated from shapes alone.
#pragma once
#include <algorithm>

#include <antiphon/run/run_config.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/model/model.h>

namespace antiphon::run {

// Bytes. A batch is taken to be full of samples with one of the smallest item of each stream and some words.
struct Memory {
  double program = 0;      // libraries and their threads
  double parameters = 0;   // in the formats in which they are kept
  double optimizer = 0;    // what its rule keeps of each trained parameter
  double reference = 0;    // what an objective compares with: the trained tensors as they were
  double checkpoint = 0;   // the copy that one is written from while training goes on, and its larger file, read again
  double data = 0;         // samples that are kept ready
  double loading = 0;      // random parameters are made in fp32
  double encoding = 0;     // while frozen encoders work
  double activations = 0;  // when the forward pass ends
  double gradients = 0;    // when the backward pass ends
  double host = 0;         // of a GPU: what parallel.offload_optimizer keeps in its host's memory instead

  // These come one after the other: loading, encoding, the end of the forward pass and that of the backward pass.
  double working() const { return std::max({encoding, activations, gradients}); }
  double training() const { return parameters + optimizer + reference + checkpoint + data + working(); }
  double peak() const { return program + std::max(loading, training()); }
  // Of a GPU: programs, samples and the copies for checkpoints are in the memory of its host.
  double peak_on_gpu() const { return std::max(loading, parameters + optimizer + reference + working()); }
};

// On such a device, for a model on the meta device.
Memory estimate_memory(const RunConfig& config, model::Model& model, const UpdateRule& rule, const Objective& objective,
                       at::DeviceType device = at::kCPU);

}  // namespace antiphon::run
