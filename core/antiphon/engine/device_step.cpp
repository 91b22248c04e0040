#include <antiphon/engine/device_step.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/trace.h>
#include <antiphon/kernels/cuda_table.h>

#include <map>

namespace antiphon::engine {
namespace {

constexpr int kStepsBeforeRecording = 2;  // a short answer is not worth it

// One number of rows.
struct Recorded {
  at::Tensor inputs;  // [3, rows] int64 on the device: ids, tokens held, rows of the cache
  at::Tensor hidden;  // what a replay writes
  const void* keys = nullptr;
  std::shared_ptr<void> graph;
  int steps = 0;
  bool refused = false;
};

using Recordings = std::map<size_t, Recorded>;

Recorded& recorded_for(KvCache& cache, size_t rows) {
  if (!cache.replay) cache.replay = std::make_shared<Recordings>();
  auto& recorded = (*static_cast<Recordings*>(cache.replay.get()))[rows];
  const void* keys = cache.keys.front().const_data_ptr();
  if (recorded.keys != keys) recorded = {}, recorded.keys = keys;  // the cache has other tensors now
  return recorded;
}

void set_inputs(Recorded& recorded, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows,
                const KvCache& cache, at::Device device) {
  std::vector<int64_t> numbers = ids;
  for (const auto row : rows) {
    const auto length = cache.lengths[static_cast<size_t>(row)];
    if (length >= cache.capacity)
      fail(ErrorKind::internal, fmt::format("KV cache row {} is full: its capacity is {}", row, cache.capacity));
    numbers.push_back(length);
  }
  numbers.insert(numbers.end(), rows.begin(), rows.end());
  const auto on_host = at::tensor(numbers, at::kLong).view({3, static_cast<int64_t>(rows.size())});
  if (recorded.inputs.defined())
    recorded.inputs.copy_(on_host);
  else
    recorded.inputs = on_host.to(device, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor run(model::MultimodalLm& model, const at::Tensor& inputs, const std::vector<int64_t>& rows, KvCache& cache) {
  DecoderInput input;
  input.x_td = model.llm().embed(inputs[0]).to(model.compute_dtype());
  input.positions_t = inputs[1];
  input.lengths.assign(rows.size(), 1);
  input.cache = &cache, input.rows = rows;
  input.cache_lengths_n = inputs[1], input.cache_rows_n = inputs[2];
  const TraceScope scope("decoder");
  return model.llm().forward(input);
}

bool worth_recording(Recorded& recorded, at::Device device) {
  const auto* table = kernels::cuda_table();
  return device.is_cuda() && table && table->capture && !recorded.refused && ++recorded.steps > kStepsBeforeRecording;
}

void record(Recorded& recorded, at::Device device, const std::function<at::Tensor()>& step) {
  try {
    recorded.graph = kernels::cuda_table()->capture(device, [&] { recorded.hidden = step(); });
  } catch (const c10::Error& error) {
    recorded.graph.reset(), recorded.refused = true;
    log::warning(fmt::format("decoding goes on without CUDA graphs: {}", error.what_without_backtrace()));
  }
}

}  // namespace

at::Tensor device_step(model::MultimodalLm& model, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows,
                       KvCache& cache) {
  const auto device = model.device();
  auto& recorded = recorded_for(cache, rows.size());
  set_inputs(recorded, ids, rows, cache, device);
  const auto step = [&] { return run(model, recorded.inputs, rows, cache); };
  if (!recorded.graph && worth_recording(recorded, device)) record(recorded, device, step);
  at::Tensor hidden;
  if (recorded.graph) {
    const TraceScope scope("decoder");
    kernels::cuda_table()->replay(recorded.graph.get());
    hidden = recorded.hidden.clone();  // the next replay writes there again
  } else {
    hidden = step();
  }
  for (const auto row : rows) ++cache.lengths[static_cast<size_t>(row)];
  return hidden;
}

}  // namespace antiphon::engine
