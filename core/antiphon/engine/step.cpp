#include <antiphon/engine/step.h>

#include <ATen/ATen.h>

#include <antiphon/base/trace.h>
#include <antiphon/engine/device_step.h>

namespace antiphon::engine {

at::Tensor logits_of(model::MultimodalLm& model, const at::Tensor& hidden) {
  const TraceScope scope("head");
  return model.llm().logits(hidden);
}

at::Tensor decode_step(model::MultimodalLm& model, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows,
                       KvCache& cache) {
  if (model.device().is_cuda()) return device_step(model, ids, rows, cache);
  DecoderInput input;
  std::vector<int64_t> positions;
  for (const int64_t row : rows) positions.push_back(cache.lengths[static_cast<size_t>(row)]);
  input.x_td = model.llm().embed(at::tensor(ids, at::kLong).to(model.device())).to(model.compute_dtype());
  input.positions_t = at::tensor(positions, at::kLong).to(model.device());
  input.lengths.assign(rows.size(), 1);
  input.cache = &cache, input.rows = rows;
  const TraceScope scope("decoder");
  return model.llm().forward(input);
}

}  // namespace antiphon::engine
