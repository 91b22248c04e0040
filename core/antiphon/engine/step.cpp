#include <antiphon/engine/step.h>

#include <ATen/ATen.h>

#include <antiphon/base/log.h>
#include <antiphon/base/trace.h>
#include <antiphon/kernels/cuda_table.h>
#include <antiphon/kernels/team.h>

#include <fmt/format.h>

#include <bit>
#include <functional>

namespace antiphon::engine {
namespace {

constexpr int kStepsBeforeRecording = 2;  // a short answer is not worth it
constexpr int64_t kIds = 0, kHeld = 1, kSlots = 2, kPositions = 3, kBlocks = 4;

}  // namespace

// One number of rows, and of blocks that a row may have.
struct DecodingSteps::Recorded {
  // [4 + blocks, rows] int64 on the device: ids, tokens held, slots, positions as the bits of a double,
  // and the blocks of each row
  at::Tensor inputs;
  at::Tensor hidden;  // what a replay writes
  std::shared_ptr<void> graph;
  int steps = 0;
  bool refused = false;

  bool worth_recording(at::Device device) {
    const auto* table = kernels::cuda_table();
    return device.is_cuda() && table && table->capture && !refused && ++steps > kStepsBeforeRecording;
  }

  void record(at::Device device, const std::function<at::Tensor()>& step) {
    try {
      graph = kernels::cuda_table()->capture(device, [&] { hidden = step(); });
    } catch (const c10::Error& error) {
      graph.reset(), refused = true;
      log::warning(fmt::format("decoding goes on without CUDA graphs: {}", error.what_without_backtrace()));
    }
  }
};

at::Tensor logits_of(model::MultimodalLm& model, const at::Tensor& hidden) {
  const kernels::TeamScope team(model.device().is_cpu());
  const TraceScope scope("head");
  return model.llm().logits(hidden);
}

DecodingSteps::DecodingSteps(model::MultimodalLm& model, DecoderState& cache)
    : model_(model), cache_(cache), positions_(model.llm().positions({1, {}}).scalar_type()) {}
DecodingSteps::~DecodingSteps() = default;

// What is written is text.
at::Tensor DecodingSteps::on_all_axes(const at::Tensor& positions_n) const {
  return positions_n.expand({model_.llm().position_axes(), positions_n.size(0)});
}

at::Tensor DecodingSteps::operator()(const std::vector<int64_t>& ids, const std::vector<int64_t>& rows) {
  // Tensors of a text are set by the host, which a replay leaves out.
  if (model_.device().is_cuda() && !cache_.has_recurrent()) return on_device(ids, rows);
  DecoderInput input;
  std::vector<double> positions;
  for (const int64_t row : rows) positions.push_back(cache_.next_position(row));
  const auto ids_t = at::tensor(ids, at::kLong).to(model_.device());
  input.x_td = model_.llm().embed(ids_t).to(model_.compute_dtype());
  input.positions_at = on_all_axes(at::tensor(positions, at::kDouble).to(positions_).to(model_.device()));
  if (model_.llm().reads_ids()) input.ids_t = ids_t;
  input.lengths.assign(rows.size(), 1);
  input.cache = &cache_, input.rows = rows;
  const TokenKindScope kinds(model_.kinds_of_text(input.tokens()));
  const kernels::TeamScope team(model_.device().is_cpu());
  const TraceScope scope("decoder");
  return model_.llm().forward(input);
}

at::Tensor DecodingSteps::inputs_of(const std::vector<int64_t>& ids, const std::vector<int64_t>& rows,
                                    int64_t most_blocks) {
  const auto n = static_cast<int64_t>(rows.size());
  const auto inputs = at::zeros({kBlocks + most_blocks, n}, at::kLong);
  auto all = inputs.accessor<int64_t, 2>();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = rows[static_cast<size_t>(i)];
    all[kIds][i] = ids[static_cast<size_t>(i)], all[kHeld][i] = cache_.length(row);
    all[kSlots][i] = cache_.slot(row, cache_.length(row)),
    all[kPositions][i] = std::bit_cast<int64_t>(cache_.next_position(row));
    const auto& blocks = cache_.blocks(row);
    for (size_t b = 0; b < blocks.size(); ++b) all[kBlocks + static_cast<int64_t>(b)][i] = blocks[b];
  }
  return inputs;
}

at::Tensor DecodingSteps::run(const at::Tensor& inputs, const std::vector<int64_t>& rows) {
  DecoderInput input;
  input.x_td = model_.llm().embed(inputs[kIds]).to(model_.compute_dtype());
  input.positions_at = on_all_axes(inputs[kPositions].view(at::kDouble).to(positions_));
  if (model_.llm().reads_ids()) input.ids_t = inputs[kIds];
  input.lengths.assign(rows.size(), 1);
  input.cache = &cache_, input.rows = rows;
  input.held_n = inputs[kHeld], input.slots_n = inputs[kSlots];
  input.blocks_nb = inputs.narrow(0, kBlocks, inputs.size(0) - kBlocks).t().contiguous();
  const TokenKindScope kinds(model_.kinds_of_text(input.tokens()));
  const TraceScope scope("decoder");
  return model_.llm().forward(input);
}

at::Tensor DecodingSteps::on_device(const std::vector<int64_t>& ids, const std::vector<int64_t>& rows) {
  const auto device = model_.device();
  size_t most = 1;
  for (const auto row : rows) {
    cache_.reserve(row, 1);
    most = std::max(most, cache_.blocks(row).size());
  }
  const auto most_blocks = static_cast<int64_t>(std::bit_ceil(most));  // few recordings while the rows grow
  auto& recorded = recorded_[{rows.size(), most_blocks}];
  if (!recorded) recorded = std::make_unique<Recorded>();
  const auto inputs = inputs_of(ids, rows, most_blocks);
  if (recorded->inputs.defined())
    recorded->inputs.copy_(inputs);
  else
    recorded->inputs = inputs.to(device, /*non_blocking=*/false, /*copy=*/true);
  const auto step = [&] { return run(recorded->inputs, rows); };
  if (!recorded->graph && recorded->worth_recording(device)) recorded->record(device, step);
  at::Tensor hidden;
  if (recorded->graph) {
    const TraceScope scope("decoder");
    kernels::cuda_table()->replay(recorded->graph.get());
    hidden = recorded->hidden.clone();  // the next replay writes there again
  } else {
    hidden = step();
  }
  for (const auto row : rows) cache_.advance(row, 1);
  return hidden;
}

}  // namespace antiphon::engine
